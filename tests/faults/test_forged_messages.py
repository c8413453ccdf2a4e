"""Guarantee 3: a message is a wake-up, never an authority.

Everything that a stack's own messages are made of is recorded, and then put into every queue again: as it was, cut,
altered, out of time, for another vault, signed by somebody else, or replaced by noise. Nothing is asked of the KMS,
nothing is written to a repository, and every role goes on.
"""

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from config import acl, queues
from crypto import job, ticket
from crypto.certificate import ProcessKeys, ProcessSigned
from crypto.hpke import HpkeKey
from crypto.identity import Identity
from crypto.job import ListSpec, RestoreSpec
from crypto.keyrecord import CHUNK_ID, DEK
from crypto.keyrequest import Want
from crypto.registry import BACKUP, OPERATOR, RESTORE, SCHEDULER
from crypto.report import DONE, REPORT_VERSION, Report
from crypto.signing import Domain
from crypto.ticket import Ticket
from tests.faults.forging import (
    HOUR_MS,
    World,
    altered,
    as_new,
    frame,
    key_request,
    new_job,
    new_request,
    send_request,
    text,
    wake,
)
from tests.whole.broker import Intruder, Recorder
from tests.whole.room import Strongroom, furnished, make_tree, read_tree
from tests.workers.stack_control import until
from tests.workers.test_poison import poisons
from workers.process import now_ms

# The first test waits for the stack to do all its work.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    base = tmp_path_factory.mktemp("forged")
    # Nothing may be hidden by keys that a worker still has.
    room = Strongroom(base / "home", STRONGROOM_CACHE_MAX_AGE_S="1")
    source = base / "source"
    make_tree(source)
    with furnished(room, base / "repo"):
        room.run("up")
        intruder = Intruder(room.home)
        recorder = Recorder(intruder)
        with recorder.recording():
            room.run("vault", "create", "w", "--repo", f"file://{base}/other", "--kms", "local-kms://other")
            for vault in ("v", "w"):
                room.run("backup", vault, source)
                room.run("check", vault)
                room.run("snapshots", vault)
                room.run("find", vault, "*")
                room.run("diff", vault, "latest", "latest")
                room.run("restore", vault, "latest", "--target", base / f"restored-{vault}")
            intruder.settle()
        frames = {queue: recorder.pushed(queue) for queue in queues.QUEUES}
        assert all(frames.values())
        time.sleep(2.5)  # the keys that workers have are gone: whatever needs one has to ask
        yield World(room, intruder, frames, source)


@pytest.fixture
def unmoved(world: World) -> Iterator[World]:
    """Fails the test if anything has changed in its end."""
    world.intruder.settle()
    before = world.state()
    assert before["kms calls"] > 0
    assert len(before["processes"]) > 6
    yield world
    world.intruder.settle()
    assert world.state() == before, world.room.logs()


def test_every_user_who_may_write_writes_noise(unmoved: World) -> None:
    tried = 0
    for user in acl.USERS:
        if user in (queues.MONITOR, queues.HEALTH):
            continue  # do not exist in a stack without Flower
        for queue in queues.QUEUES:
            for poison in [*poisons(queue), os.urandom(200), b"", b"{" * 5000]:
                data = poison.encode() if isinstance(poison, str) else poison
                if not unmoved.intruder.push(queue, data, user):
                    break
                tried += 1
    assert tried > 300


def test_everything_that_was_said_is_said_again(unmoved: World) -> None:
    for again in (lambda original: original, as_new):
        for queue, frames in unmoved.frames.items():
            for original in frames:
                assert unmoved.intruder.push(queue, again(original))
        unmoved.intruder.settle()


def test_everything_that_was_said_is_said_to_somebody_else(unmoved: World) -> None:
    for frames in unmoved.frames.values():
        for original in frames:
            for queue in queues.QUEUES:
                other = json.loads(as_new(original))
                if other["properties"]["delivery_info"]["routing_key"] != queue:
                    unmoved.intruder.push(queue, json.dumps(other).encode())
                    other["properties"]["delivery_info"]["routing_key"] = queue
                    unmoved.intruder.push(queue, json.dumps(other).encode())
                    for task in queues.TASKS:
                        if queues.queue_of_task(task) == queue and task != queues.TICK:
                            other["headers"]["task"] = task
                            unmoved.intruder.push(queue, json.dumps(other).encode())


def test_messages_are_cut_and_altered(unmoved: World) -> None:
    generator = random.Random(3)
    for queue, frames in unmoved.frames.items():
        kinds = {json.loads(each)["headers"]["task"]: each for each in frames}
        for original in kinds.values():
            for part in (1, len(original) // 3, len(original) // 2, len(original) - 1):
                unmoved.intruder.push(queue, original[:part])
            for each in altered(original, generator):
                unmoved.intruder.push(queue, each)


# What follows needs keys that an attacker does not have; some of it, keys that he might have stolen.


JOB_TASKS = (
    queues.PLAN_BACKUP,
    queues.PLAN_RESTORE,
    queues.LIST,
    queues.FIND,
    queues.DIFF,
    queues.CHECK,
)
CHANGES: dict[str, Callable[[Ticket], dict[str, Any]]] = {
    "expired": lambda _: {"not_before_ms": now_ms() - 2 * HOUR_MS, "expires_ms": now_ms() - HOUR_MS},
    "not yet valid": lambda _: {"not_before_ms": now_ms() + HOUR_MS, "expires_ms": now_ms() + 2 * HOUR_MS},
    "valid too long": lambda _: {"expires_ms": now_ms() + 9000 * HOUR_MS},
    "another version": lambda _: {"version": 2},
    "another role": lambda good: {"role": {BACKUP: RESTORE}.get(good.role, BACKUP)},
    "another tenant": lambda _: {"tenant": os.urandom(16)},
    "no such vault": lambda _: {"vault": os.urandom(16)},
    "another spec": lambda _: {"spec": os.urandom(32)},
    "another job": lambda _: {"job": os.urandom(16)},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_ticket_that_the_scheduler_itself_signed_wrongly(unmoved: World, change: str) -> None:
    for task in JOB_TASKS:
        good, sealed = new_job(unmoved, task)
        bad = msgspec.structs.replace(good, **CHANGES[change](good))
        wake(unmoved, task, ticket.issue(unmoved.identity(SCHEDULER), bad), sealed)


def test_a_ticket_that_somebody_else_signed(unmoved: World) -> None:
    stranger = Identity.generate("stranger")
    impostor = Identity(unmoved.identity(SCHEDULER).id, "scheduler", stranger._signing, stranger.opening)
    for task in JOB_TASKS:
        for signer in (stranger, impostor, unmoved.identity(BACKUP), unmoved.identity(OPERATOR)):
            good, sealed = new_job(unmoved, task)
            wake(unmoved, task, ticket.issue(signer, good), sealed)


def test_a_live_ticket_for_a_task_of_another_kind(unmoved: World) -> None:
    scheduler = unmoved.identity(SCHEDULER)
    for task in JOB_TASKS:
        for other in (
            *JOB_TASKS,
            queues.INIT_VAULT,
            queues.FINALIZE,
            queues.BACKUP_SEGMENT,
            queues.RESTORE_SEGMENT,
            queues.EXTEND,
            queues.FORGET,
            queues.PRUNE,
            queues.SWEEP,
        ):
            if other != task:
                good, sealed = new_job(unmoved, task)
                wake(unmoved, other, ticket.issue(scheduler, good), sealed)


def test_a_restore_ticket_with_a_spec_of_the_attackers_own(unmoved: World) -> None:
    attacker = HpkeKey.generate()
    entry, delivery = unmoved.vault("v"), unmoved.home.delivery.as_uri()
    for task, spec in (
        (queues.PLAN_RESTORE, RestoreSpec(entry.repo, attacker.public, "latest", b"", (), (), delivery)),
        (queues.RESTORE_SEGMENT, RestoreSpec(entry.repo, attacker.public, "latest", b"", (), (), delivery)),
        (queues.LIST, ListSpec(entry.repo, attacker.public, "latest", b"", delivery)),
    ):
        captured, _ = new_job(unmoved, queues.LIST if task == queues.LIST else queues.PLAN_RESTORE)
        own = job.seal_spec(spec, captured.job, unmoved.registry().holders(RESTORE))
        wake(unmoved, task, ticket.issue(unmoved.identity(SCHEDULER), captured), own)
        unmoved.intruder.settle()
        assert list(unmoved.home.delivery.rglob("*")) == []
        assert not unmoved.intruder.redis.exists(queues.notes_list(captured.job))


def test_a_ticket_of_one_vault_with_the_spec_of_another(unmoved: World) -> None:
    scheduler = unmoved.identity(SCHEDULER)
    for task in JOB_TASKS:
        (first, first_spec), (other, other_spec) = (new_job(unmoved, task, vault) for vault in ("v", "w"))
        wake(unmoved, task, ticket.issue(scheduler, first), other_spec)
        wake(unmoved, task, ticket.issue(scheduler, other), first_spec)


def test_requests_that_are_not_an_operators_or_not_in_order(unmoved: World) -> None:
    operator = unmoved.identity(OPERATOR)
    repo, other = unmoved.vault("v").repo, unmoved.vault("w").repo
    stranger = Identity.generate("stranger")
    for signer in (stranger, Identity(operator.id, "operator", stranger._signing, stranger.opening)):
        send_request(unmoved, signer, new_request(unmoved, "v", repo))
    for role in (BACKUP, RESTORE, SCHEDULER):
        send_request(unmoved, unmoved.identity(role), new_request(unmoved, "v", repo))
    send_request(unmoved, operator, new_request(unmoved, "v", other))
    no_vault = msgspec.structs.replace(new_request(unmoved, "v", repo), vault=os.urandom(16))
    send_request(unmoved, operator, no_vault)
    send_request(unmoved, operator, new_request(unmoved, "v", repo, sent_ms=now_ms() - HOUR_MS))
    send_request(unmoved, operator, new_request(unmoved, "v", repo, sent_ms=now_ms() + HOUR_MS))
    send_request(unmoved, operator, new_request(unmoved, "v", repo, job=os.urandom(16)))
    send_request(unmoved, operator, new_request(unmoved, "v", repo, kind="tidy"))
    send_request(unmoved, operator, new_request(unmoved, "v", repo, spec=os.urandom(500)))


def test_key_requests_out_of_order(unmoved: World) -> None:
    """Even a stolen worker identity with a live ticket gets nothing that the ticket does not cover."""
    world = unmoved
    known, _ = new_job(world, queues.PLAN_RESTORE)
    issued = ticket.issue(world.identity(SCHEDULER), known)
    own, other = (Path(world.vault(name).repo.removeprefix("file://")) / "keys" for name in ("v", "w"))
    want = Want(ticket.DECRYPT, DEK, 1, (own / "dek-00000001").read_bytes())
    stolen = ProcessKeys(world.identity(RESTORE), RESTORE, now_ms())
    stranger = Identity.generate("stranger")
    impostor = Identity(world.identity(RESTORE).id, "restore", stranger._signing, stranger.opening)
    for keys in (
        ProcessKeys(stranger, RESTORE, now_ms()),
        ProcessKeys(impostor, RESTORE, now_ms()),
        ProcessKeys(world.identity(RESTORE), BACKUP, now_ms()),
        ProcessKeys(world.identity(BACKUP), BACKUP, now_ms()),
        ProcessKeys(world.identity(RESTORE), RESTORE, now_ms() - 3 * HOUR_MS),
    ):
        key_request(world, keys, issued, want)
    for bad in (
        Want(ticket.DECRYPT, DEK, 1, (other / "dek-00000001").read_bytes()),
        Want(ticket.DECRYPT, DEK, 2, want.record),
        Want(ticket.DECRYPT, CHUNK_ID, 0, want.record),
        Want(ticket.ENCRYPT, DEK, 1, want.record),
        Want(ticket.GENERATE, DEK, 2, b""),
        Want(ticket.INIT, DEK, 1, b""),
        Want(ticket.DECRYPT, DEK, 1, os.urandom(300)),
    ):
        key_request(world, stolen, issued, want, bad)
    key_request(world, stolen, issued, want, sent_ms=now_ms() - HOUR_MS)
    key_request(world, stolen, issued, want, sent_ms=now_ms() + HOUR_MS)
    key_request(world, stolen, issued, want, reply_to="scheduler")
    key_request(world, stolen, issued, want, version=9)
    key_request(world, stolen, issued, *[want] * 65)
    key_request(world, stolen, issued)
    for signer in (stranger, world.identity(RESTORE), world.identity(OPERATOR)):
        forged = msgspec.structs.replace(known, jti=os.urandom(16))
        key_request(world, stolen, ticket.issue(signer, forged), want)


def test_reports_that_are_not_of_the_jobs_own_worker(unmoved: World) -> None:
    known, _, _ = unmoved.ticket_of(queues.PLAN_BACKUP)
    stranger = Identity.generate("stranger")
    for identity, role in (
        (stranger, BACKUP),
        (unmoved.identity(RESTORE), RESTORE),
        (unmoved.identity(BACKUP), BACKUP),
    ):
        keys = ProcessKeys(identity, role, now_ms())
        for job_id in (known.job, os.urandom(16)):
            report = Report(
                REPORT_VERSION,
                os.urandom(16),
                job_id,
                known.fence,
                role,
                DONE,
                0,
                0,
                0,
                0,
                10**6,
                "",
                False,
                b"",
            )
            signed: ProcessSigned = keys.sign(Domain.REPORT, report)
            assert unmoved.intruder.push(queues.SCHEDULER_QUEUE, frame(queues.REPORT, text(signed)))


def test_in_the_end_every_role_serves(world: World, tmp_path: Path) -> None:
    """And the same ways that were closed to the attacker are open: the controls of all tests above."""
    before = world.state()
    (world.source / "one-more").write_text("content")
    world.room.run("backup", "v", world.source)
    world.room.run("restore", "v", f"latest:{world.source}", "--target", tmp_path / "restored")
    assert read_tree(tmp_path / "restored") == read_tree(world.source)
    assert world.room.json("check", "v", "--read-data")["problems"] == []
    good, _ = new_job(world, queues.PLAN_RESTORE)
    issued = ticket.issue(world.identity(SCHEDULER), good)
    repo = Path(world.vault("v").repo.removeprefix("file://"))
    want = Want(ticket.DECRYPT, DEK, 1, (repo / "keys" / "dek-00000001").read_bytes())
    granted = world.state()["granted"]
    key_request(world, ProcessKeys(world.identity(RESTORE), RESTORE, now_ms()), issued, want)
    world.intruder.settle()
    assert world.state()["granted"] == granted + 1
    for task in JOB_TASKS:
        good, sealed = new_job(world, task)
        wake(world, task, ticket.issue(world.identity(SCHEDULER), good), sealed)
        until(lambda job=good.job: world.intruder.redis.exists(queues.notes_list(job)))  # type: ignore[misc]
    asked = new_request(world, "v", world.vault("v").repo)
    send_request(world, world.identity(OPERATOR), asked)
    until(lambda: world.intruder.redis.exists(queues.notes_list(asked.job)))
    world.intruder.settle()
    after = world.state()
    assert after["processes"] == before["processes"]
    assert after["kms calls"] > before["kms calls"]
    assert after["objects"] != before["objects"]
    assert list(world.home.delivery.rglob("*")) != []
    wanted = {each["kind"] for each in world.room.json("jobs") if each["state"] == "done"}
    assert wanted >= {"init", "backup", "restore", "list", "check", "tidy"}
