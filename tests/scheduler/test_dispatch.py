"""From a claimed job to a wake-up, and to its end, whoever else is at it."""

import msgspec
import pytest

from crypto import job
from crypto.errors import SealBroken
from crypto.identity import Identity
from crypto.job import MAX_SPEC, PruneSpec, open_spec
from crypto.registry import BACKUP, MAINTENANCE
from crypto.ticket import COMMIT
from scheduler import dispatch, lifecycle, verdicts
from scheduler.errors import Refused
from scheduler.lifecycle import CANCELLED, DONE, FAILED, QUEUED, TICKET_LIFETIME_MS, WAITING, Job
from tests.scheduler.world import NOW, OTHER_VAULT, VAULT, World, enrol
from workers.lists import BrokerUnreachable


def claimed(world: World, kind: str = job.BACKUP, **changes: object) -> Job:
    """A job that is stored and not published."""
    made = lifecycle.upkeep(kind, b"j" * 16, VAULT, b"s" * 16, world.people.operator.id, b"sealed", NOW)
    made = msgspec.structs.replace(made, **changes)
    with world.ledger.transaction():
        assert world.ledger.insert(made)
    return made


def seal(world: World, kind: str, host: str = "") -> bytes:
    return dispatch.seal_for_workers(world.registry, kind, VAULT, b"j" * 16, world.spec(kind), host)


def opens(identity: Identity, sealed: bytes) -> bool:
    try:
        open_spec(identity, b"j" * 16, sealed)
    except SealBroken:
        return False
    return True


def test_only_a_prune_can_be_opened_by_the_scheduler_that_asks_again(world: World) -> None:
    for kind in (job.BACKUP, job.CHECK, job.FORGET, job.PRUNE):
        assert opens(world.people.scheduler, seal(world, kind)) == isinstance(world.spec(kind), PruneSpec)
    assert opens(world.people.workers[MAINTENANCE], seal(world, job.PRUNE))


def test_a_host_that_has_no_worker_is_named_in_the_refusal(world: World) -> None:
    with pytest.raises(Refused) as caught:
        seal(world, job.BACKUP, "desk")
    assert caught.value.code == "no-worker"
    assert "on the host desk" in caught.value.message
    assert "on the host desk" in caught.value.remedy


def test_a_spec_that_fits_one_worker_may_be_too_large_for_many(world: World) -> None:
    about = world.spec()
    assert isinstance(about, job.BackupSpec)
    large = msgspec.structs.replace(about, excludes=tuple("x" * 1000 for _ in range(MAX_SPEC // 1000 - 5)))
    for number in range(20):
        world.registry = world.registry.with_identity(enrol(Identity.generate(f"worker-{number}"), BACKUP))
    with pytest.raises(Refused) as caught:
        dispatch.seal_for_workers(world.registry, job.BACKUP, VAULT, b"j" * 16, large)
    assert (caught.value.code, "fewer" in caught.value.remedy) == ("too-large", True)


def test_a_ticket_is_good_for_as_long_as_the_job_says_and_for_what_a_step_adds(world: World) -> None:
    made = claimed(world)
    dispatch.dispatch(world.parts(), world.registry, made, NOW)
    dispatch.commit(world.parts(), world.registry, made, NOW, 60_000)
    first, last = (wake.ticket for wake in world.publisher.wakes)
    for ticket in (first, last):
        assert ticket.expires_ms - ticket.not_before_ms == TICKET_LIFETIME_MS
        assert ticket.expires_ms == made.ticket_until_ms
    assert set(last.operations) - set(first.operations) == {COMMIT}
    assert first.jti != last.jti


def test_without_a_broker_a_claimed_job_stays_as_it_is(world: World) -> None:
    made = claimed(world)
    world.publisher.down = True
    with pytest.raises(BrokerUnreachable):
        dispatch.dispatch(world.parts(), world.registry, made, NOW)
    assert world.job(made.id) == made


def test_a_vault_that_is_gone_ends_the_job_without_a_wake(world: World) -> None:
    made = claimed(world, vault=b"?" * 16)
    assert dispatch.dispatch(world.parts(), world.registry, made, NOW).code == verdicts.VAULT_UNKNOWN
    other = msgspec.structs.replace(made, id=b"k" * 16)
    with world.ledger.transaction():
        world.ledger.insert(other)
    dispatch.wake(world.parts(), world.registry, other, "backup.finalize", NOW, 1000)
    assert world.publisher.wakes == []
    assert [world.job(each).state for each in (made.id, other.id)] == [FAILED, FAILED]
    assert [each.code for each in world.verdicts(other.id)] == [verdicts.VAULT_UNKNOWN]


@pytest.mark.parametrize("change", [{"fence": 2}, {"state": DONE}, {"state": "running"}])
def test_what_became_of_a_job_while_it_was_published_stays(world: World, change: dict[str, object]) -> None:
    made = claimed(world)
    with world.ledger.transaction():
        world.ledger.update(msgspec.structs.replace(made, **change))
    after = dispatch.dispatch(world.parts(), world.registry, made, NOW)
    assert after == world.job(made.id) == msgspec.structs.replace(made, **change)


def test_those_after_one_that_cannot_be_published_are_left_to_the_reaper(world: World) -> None:
    first = claimed(world)
    second = msgspec.structs.replace(first, id=b"k" * 16, vault=OTHER_VAULT)
    with world.ledger.transaction():
        world.ledger.insert(second)
    dispatch.dispatch_all(world.parts(), world.registry, [first], NOW)
    world.publisher.down = True
    with pytest.raises(BrokerUnreachable):
        dispatch.dispatch_all(world.parts(), world.registry, [second, first], NOW)
    assert (world.job(first.id).state, world.job(second.id).state) == (QUEUED, WAITING)


def test_a_job_ends_once(world: World) -> None:
    parts, made = world.parts(), claimed(world)
    assert dispatch.end(parts, made, CANCELLED, NOW).state == CANCELLED
    again = dispatch.end(parts, made, FAILED, NOW + 1, code="late")
    assert (again.state, again.code, again.finished_ms) == (CANCELLED, "", NOW)
    assert len(world.verdicts(made.id)) == 1


def test_a_job_that_the_ledger_has_forgotten_ends_without_a_word(world: World) -> None:
    unknown = msgspec.structs.replace(claimed(world), id=b"?" * 16)
    assert dispatch.end(world.parts(), unknown, FAILED, NOW) == unknown
    assert world.publisher.letters == []
