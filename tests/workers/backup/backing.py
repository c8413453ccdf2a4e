"""A backup worker's process that does whole jobs, step by step, on a real repository, without Celery."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from config.queues import BACKUP as ROLE
from config.queues import BACKUP_SEGMENT
from crypto.dek_cache import Slot
from crypto.hpke import HpkeKey
from crypto.job import BackupSpec
from crypto.keyrecord import CHUNK_ID, DEK
from crypto.secret import SecretKey
from crypto.ticket import COMMIT, DECRYPT, ENCRYPT, Ticket, issue
from repository.catalog import read_manifest, read_snapshot
from repository.compression import Decompressor
from repository.fetch import Fetched, Fetcher
from repository.index import Index
from repository.manifest import Manifest, Snapshot
from repository.prunes import read_struck
from sources.filesystem.stamps import TICK_NS
from tests.client.deliveries import now_ms
from tests.repository.conftest import Repo
from tests.workers.one_process import OneProcess
from workers.admission import Job
from workers.backup.finalize import finalize
from workers.backup.plan import make_plan
from workers.backup.session import BackupProcess, BackupSession
from workers.backup.steps import run_segment
from workers.reporting import Reporter

NEVER_DAYS = 10**6
TICKET_MS = 600_000


class Backing:
    """Backs up one folder again and again."""

    def __init__(self, root: Path, repo: Repo, source: Path) -> None:
        self.repo = repo
        self.source = source
        self._one = OneProcess(root, ROLE)
        self._process = self._one.process
        self._own = BackupProcess(self._process)
        self._requester = HpkeKey.generate().public

    def backup(
        self,
        between: Callable[[], None] = lambda: None,
        operations: tuple[str, ...] = (DECRYPT, ENCRYPT, COMMIT),
    ) -> Snapshot:
        """One job; `between` runs when it is planned, and before its segments are. Its ticket allows `operations`."""
        # Else the clock does not tell what was just written from what changes now.
        time.sleep(2 * TICK_NS / 1e9)
        job = os.urandom(16)
        steps = self.steps(job, operations=operations)
        next(steps)
        between()
        for _ in steps:
            pass
        return read_snapshot(self.repo.store, self.repo.vault, self.repo.keys, job)

    def steps(
        self, job_id: bytes, last_steps: int = 1, operations: tuple[str, ...] = (DECRYPT, ENCRYPT, COMMIT)
    ) -> Iterator[str]:
        """The same step by step: stops when it is planned, after each segment, and after each delivery of the last."""
        repo = self.repo
        for operation in (ENCRYPT, DECRYPT):
            self._keep(DEK, 1, operation, repo.keys.dek(1))
            self._keep(CHUNK_ID, 0, operation, repo.keys.chunk_id_key())
        spec = BackupSpec(repo.folder.as_uri(), self._requester, (os.fsencode(self.source),), (), (), "host")
        ticket = Ticket(
            1, bytes(16), job_id, 1, *repo.vault, ROLE, operations, b"", 0, now_ms() + TICKET_MS, 9
        )
        job = Job(ticket, issue(self._one.scheduler, ticket), b"", spec)
        sent: list[tuple[object, ...]] = []

        def send(task: str, *args: object, expires_s: float | None = None) -> None:
            sent.append((task, *args))

        def session() -> BackupSession:
            return BackupSession(self._own, job, send)

        reporter = Reporter(self._process, job, send, lambda _: None)
        make_plan(session(), reporter, NEVER_DAYS)
        yield "planned"
        for *_, fence, number in [message for message in sent if message[0] == BACKUP_SEGMENT]:
            assert isinstance(fence, int) and isinstance(number, int)
            run_segment(session(), reporter, fence, number)
            yield "segment"
        for _ in range(last_steps):
            finalize(session(), reporter)
            yield "committed"

    def manifests(self, snapshot: Snapshot) -> list[Manifest]:
        repo = self.repo
        return [read_manifest(repo.store, repo.vault, repo.keys, ref) for ref in snapshot.manifests]

    def contents(self, snapshot: Snapshot) -> dict[str, bytes]:
        """Every file of a snapshot, by its path below the source."""
        repo = self.repo
        found = {}
        index = Index()
        struck = read_struck(repo.store, repo.vault, repo.keys, swept_only=True)
        index.refresh(repo.store, repo.vault, repo.keys, struck=struck)
        for manifest in self.manifests(snapshot):
            ids = [manifest.chunk_ids[at : at + 32] for at in range(0, len(manifest.chunk_ids), 32)]
            used = {ids[number] for entry in manifest.entries for number in entry.extents[::3]}
            chunks = {}
            for got in Fetcher(repo.store, repo.vault, repo.keys, index).fetch(used):
                assert isinstance(got, Fetched), got
                chunks[got.chunk_id] = bytes(Decompressor().decompress(got.codec, got.payload, got.raw_len))
            for entry in manifest.entries:
                if entry.kind == "f":
                    flat = iter(entry.extents)
                    data = b"".join(
                        chunks[ids[n]][at : at + size] for n, at, size in zip(flat, flat, flat, strict=True)
                    )
                    found[os.path.relpath(entry.path, snapshot.paths[0]).decode()] = data
        return found

    def close(self) -> None:
        self._own.stop()
        self._one.close()

    def _keep(self, purpose: str, epoch: int, operation: str, key: SecretKey) -> None:
        self._process.cache.get(Slot(*self.repo.vault, purpose, epoch, operation), lambda: key)
