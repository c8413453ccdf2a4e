"""A worker's process of any role with a real broker, and jobs for it as a scheduler makes them; without Celery."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from config.home import Home
from config.queues import CLIENT, REPORT, notes_list
from config.settings import Settings
from crypto import canonical, notes
from crypto.certificate import ProcessSigned
from crypto.dek_cache import Slot
from crypto.hpke import HpkeKey
from crypto.identity import Identity
from crypto.job import Spec, digest, seal_spec
from crypto.keyrecord import CHUNK_ID, DEK
from crypto.registry import SCHEDULER, Registry, VaultEntry
from crypto.report import Report
from crypto.ticket import DECRYPT, Ticket, issue
from repository.access import VaultId
from tests.client.deliveries import enrolled, now_ms
from tests.repository.conftest import Repo
from tests.workers.broker_server import Server
from workers.admission import Job, admit
from workers.process import Process
from workers.reporting import Reporter
from workers.role import RoleContext

VAULT = VaultId(b"T" * 16, b"V" * 16)
"""That of `tests.repository.conftest.Repo`."""


class Working:
    """One worker process, its scheduler, and a requester.

    Args:
        root: for its home.
        server: with users for the role and for clients.
        role: of the process.
    """

    def __init__(self, root: Path, server: Server, role: str) -> None:
        self.role = role
        self.server = server
        self.home = Home(root / "home")
        self.home.create()
        self.identity, self.scheduler = Identity.generate(role), Identity.generate(SCHEDULER)
        self.registry = (
            Registry(tenant=VAULT.tenant)
            .with_identity(enrolled(self.identity, role))
            .with_identity(enrolled(self.scheduler, SCHEDULER))
            .with_vault(VaultEntry(VAULT.vault, VAULT.tenant, "photos", "file:///repo", "local-kms://main"))
        )
        (self.home.identities / role).write_bytes(self.identity.encode())
        self.home.registry_file.write_bytes(self.registry.encode())
        self.context = RoleContext(role, self.home, Settings(), server.url(role), lambda: None, one_shot=True)
        self.process = Process(self.context)
        self.process.start()
        self.opening = HpkeKey.generate()
        self.sent: list[tuple[object, ...]] = []

    @property
    def requester(self) -> bytes:
        """The key that a spec says to answer to."""
        return self.opening.public

    def texts(self, about: Spec, signer: Identity | None = None, **changes: object) -> tuple[str, str]:
        """Ticket and sealed spec of a new job, as task arguments; `changes` are of the ticket."""
        job = changes.get("job") or os.urandom(16)
        assert isinstance(job, bytes)
        sealed = seal_spec(about, job, [self.registry.identity(self.identity.id)])
        now = now_ms()
        good = Ticket(
            1, os.urandom(16), job, 1, *VAULT, self.role, (DECRYPT,), digest(sealed), now, now + 60_000, 9
        )
        signed = issue(signer or self.scheduler, msgspec.structs.replace(good, **changes))
        return canonical.to_text(canonical.encode(signed)), canonical.to_text(sealed)

    def job(self, about: Spec, **changes: object) -> Job:
        """An admitted one."""
        return admit(self.process, *self.texts(about, None, **changes))

    def send(self, task: str, *args: object, expires_s: float | None = None) -> None:
        """Remembers what would be woken."""
        self.sent.append((task, *args))

    def reporter(self, job: Job) -> Reporter:
        return Reporter(self.process, job, self.send, lambda _: None)

    def hold(self, repo: Repo, *operations: str) -> None:
        """Have the vault's keys in the cache, as if the key-broker had given them."""
        for operation in operations:
            slot = Slot(*repo.vault, DEK, 1, operation)
            self.process.cache.get(slot, lambda: repo.keys.dek(1))
            self.process.cache.get(Slot(*repo.vault, CHUNK_ID, 0, operation), repo.keys.chunk_id_key)

    def reports(self) -> list[Report]:
        """What the scheduler was told."""
        signed = [canonical.from_text(args[0]) for task, *args in self.sent if task == REPORT]
        return [
            canonical.decode(Report, canonical.decode(ProcessSigned, each).message.body) for each in signed
        ]

    def notes(self, job: Job) -> list[notes.Note]:
        """What its requester was told."""
        found = []
        for letter in self.server.admin().lrange(notes_list(job.id), 0, -1):
            assert isinstance(letter, bytes)
            note = canonical.decode(notes.Letter, letter).note
            assert note is not None
            found.append(notes.read_note(self.registry, note, job.id, self.opening, now_ms()))
        return found


@contextmanager
def working(root: Path, server: Server, role: str) -> Iterator[Working]:
    """A worker that stops with the block."""
    made = Working(root, server, role)
    try:
        yield made
    finally:
        made.process.stop()


USERS = ("backup", "restore", "maintenance", "scheduler", "key-broker", CLIENT)
