"""What an attacker makes messages of: recorded ones, altered ones, and new ones under whatever keys he has."""

import base64
import json
import os
import random
import sqlite3
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from config import queues
from config.home import Home
from crypto import canonical, job
from crypto.certificate import ProcessKeys
from crypto.hpke import HpkeKey
from crypto.identity import Identity
from crypto.job import BackupSpec, CheckSpec, DiffSpec, FindSpec, JobRequest, ListSpec, RestoreSpec
from crypto.keyrequest import REQUEST_VERSION, KeyRequest, Want
from crypto.registry import SCHEDULER, Registry, VaultEntry
from crypto.signing import Domain, Signed
from crypto.ticket import Ticket
from tests.whole.broker import Intruder
from tests.whole.room import Strongroom
from tests.workers.stack_control import children_of
from tests.workers.test_poison import body, message
from workers.process import now_ms

EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
HOUR_MS = 60 * 60 * 1000
Frames = dict[str, list[bytes]]


@dataclass(frozen=True)
class World:
    """A stack with two vaults that has worked for both, and what was said meanwhile."""

    room: Strongroom
    intruder: Intruder
    frames: Frames
    source: Path

    @property
    def home(self) -> Home:
        return Home(self.room.home)

    def identity(self, role: str) -> Identity:
        return Identity.decode((self.home.identities / role).read_bytes())

    def registry(self) -> Registry:
        return Registry.decode(self.home.registry_file.read_bytes())

    def vault(self, name: str) -> VaultEntry:
        return next(each for each in self.registry().vaults if each.name == name)

    def state(self) -> dict[str, Any]:
        """What no message may change: calls to the KMS, keys given, objects of the repositories, processes."""
        with sqlite3.connect(f"file:{self.home.broker_db}?mode=ro", uri=True) as database:
            counters = dict(database.execute("SELECT name, value FROM counters"))
        database.close()
        return {
            "kms calls": counters["kms_calls"],
            "granted": counters["granted"],
            "objects": {
                str(each): each.stat().st_mtime_ns
                for vault in self.registry().vaults
                for each in Path(vault.repo.removeprefix("file://")).rglob("*")
            },
            "processes": children_of(self.intruder.supervisor),
        }

    def captured(self, task: str) -> list[tuple[str, ...]]:
        """The arguments of every message of a task."""
        frames = [json.loads(each) for each in self.frames[queues.queue_of_task(task)]]
        bodies = [base64.b64decode(each["body"]) for each in frames if each["headers"]["task"] == task]
        return [tuple(json.loads(each)[0]) for each in bodies]

    def ticket_of(self, task: str, position: int = -1) -> tuple[Ticket, str, str]:
        """The ticket of a message of a task, and the message's first two arguments."""
        text, spec, *_ = self.captured(task)[position]
        signed = canonical.decode(Signed, canonical.from_text(text))
        return canonical.decode(Ticket, signed.body), text, spec


def frame(task: str, *args: object) -> bytes:
    """A message as Celery would write it."""
    queue = queues.queue_of_task(task)
    return json.dumps(message(queue, task, body(list(args), {}, EMBED))).encode()


def text(value: msgspec.Struct) -> str:
    return canonical.to_text(canonical.encode(value))


def as_new(original: bytes) -> bytes:
    """The same message under a new id, as another one."""
    copy = json.loads(original)
    copy["headers"]["id"] = copy["headers"]["root_id"] = str(uuid.uuid4())
    copy["headers"]["expires"] = None
    copy["properties"]["delivery_tag"] = str(uuid.uuid4())
    return json.dumps(copy).encode()


def altered(original: bytes, generator: random.Random) -> Iterator[bytes]:
    """Messages that differ from a good one in a bit of one argument, at the beginning, in the middle, at the end."""
    content = json.loads(base64.b64decode(json.loads(original)["body"]))
    for number, argument in enumerate(content[0]):
        if not isinstance(argument, str):
            yield with_arguments(original, [*content[0][:number], argument + 1, *content[0][number + 1 :]])
            continue
        data = (
            bytearray(canonical.from_text(argument)) if len(argument) > 40 else bytearray(argument.encode())
        )
        for at in {0, len(data) // 2, len(data) - 1, generator.randrange(len(data))}:
            changed = bytearray(data)
            changed[at] ^= 1 << generator.randrange(8)
            new = canonical.to_text(bytes(changed))
            yield with_arguments(original, [*content[0][:number], new, *content[0][number + 1 :]])
    yield with_arguments(original, content[0][::-1])
    yield with_arguments(original, content[0][:-1])
    yield with_arguments(original, content[0] * 2)


def with_arguments(original: bytes, arguments: list[Any]) -> bytes:
    copy = json.loads(as_new(original))
    copy["body"] = body(arguments, {}, EMBED)
    return json.dumps(copy).encode()


def wake(world: World, task: str, issued: Signed, sealed_spec: bytes) -> None:
    """Wake a worker with a ticket and a spec."""
    more = {queues.BACKUP_SEGMENT: (1, 0), queues.RESTORE_SEGMENT: ("00" * 16, 0)}.get(task, ())
    message = frame(task, text(issued), canonical.to_text(sealed_spec), *more)
    assert world.intruder.push(queues.queue_of_task(task), message)


def new_job(world: World, task: str, vault: str = "v") -> tuple[Ticket, bytes]:
    """A ticket and a spec that nobody has used yet, as the scheduler would make them."""
    entry, job_id = world.vault(vault), os.urandom(16)
    requester = HpkeKey.generate().public
    delivery = world.home.delivery.as_uri()
    specs: dict[str, job.Spec] = {
        queues.PLAN_BACKUP: BackupSpec(entry.repo, requester, (bytes(world.source),), (), (), "other-host"),
        queues.PLAN_RESTORE: RestoreSpec(entry.repo, requester, "latest", b"", (), (), delivery),
        queues.LIST: ListSpec(entry.repo, requester, "latest", b"", delivery),
        queues.FIND: FindSpec(entry.repo, requester, ("*",), False, (), delivery),
        queues.DIFF: DiffSpec(entry.repo, requester, "latest", "latest", b"", True, delivery),
        queues.CHECK: CheckSpec(entry.repo, requester, read_data=False),
    }
    known, _, _ = world.ticket_of(task)
    sealed = job.seal_spec(specs[task], job_id, world.registry().holders(known.role))
    good = msgspec.structs.replace(
        known, jti=os.urandom(16), job=job_id, tenant=entry.tenant, vault=entry.id, spec=job.digest(sealed)
    )
    return good, sealed


def send_request(world: World, signer: Identity, body_: JobRequest) -> None:
    assert world.intruder.push(queues.SCHEDULER_QUEUE, frame(queues.SUBMIT, text(job.request(signer, body_))))


def new_request(world: World, vault: str, repo: str, **changes: Any) -> JobRequest:
    """An operator's request for a restore that is all right but for the changes."""
    opening = HpkeKey.generate()
    spec = RestoreSpec(repo, opening.public, "latest", b"", (), (), world.home.delivery.as_uri())
    job_id = os.urandom(16)
    sealed = job.seal_spec(spec, job_id, world.registry().holders(SCHEDULER))
    good = JobRequest(
        job.REQUEST_VERSION, job_id, job.RESTORE, world.vault(vault).id, now_ms(), sealed, detached=False
    )
    return msgspec.structs.replace(good, **changes)


def key_request(world: World, keys: ProcessKeys, issued: Signed, *wants: Want, **changes: Any) -> None:
    nonce = os.urandom(16)
    role = canonical.decode(Ticket, issued.body).role
    good = KeyRequest(REQUEST_VERSION, issued, wants, nonce, now_ms(), queues.reply_list(role, nonce))
    signed = keys.sign(Domain.KEY_REQUEST, msgspec.structs.replace(good, **changes))
    assert world.intruder.push(queues.KEYS_QUEUE, frame(queues.UNWRAP, text(signed)))
