"""When a sweep begins: after every job that may rely on what was marked, and no later; and what survives on the way."""

import pytest

from crypto import job
from crypto.job import PruneSpec, SweepSpec, open_spec
from crypto.registry import BACKUP, MAINTENANCE, RESTORE
from scheduler import prunes
from scheduler.lifecycle import LEASE_MS, SWEEPING, TICKET_LIFETIME_MS
from scheduler.prunes import LATE_MS
from tests.scheduler.world import NOW, REPO, Wake, World
from workers.maintenance.prune import VOID_MS

TICK_MS = 5000
ROLES = {job.BACKUP: BACKUP} | dict.fromkeys((job.RESTORE, job.LIST, job.FIND, job.DIFF), RESTORE)


@pytest.fixture
def world(world: World) -> World:
    world.know_vault()
    return world


def wakes(world: World, step: str) -> list[Wake]:
    return [wake for wake in world.publisher.wakes if wake.task == f"maintenance.{step}"]


def marked(world: World, prune: bytes, at_ms: int = NOW, fence: int = 1) -> None:
    text = world.report(prune, "planned", role=MAINTENANCE, at_ms=at_ms, segments=1, fence=fence)
    world.scheduler().report(text, at_ms)


def end(world: World, job_id: bytes, kind: str = "done", role: str = BACKUP, at_ms: int = NOW) -> None:
    world.scheduler().report(world.report(job_id, kind, role=role, at_ms=at_ms), at_ms)


def test_with_nobody_running_it_sweeps_at_once(world: World) -> None:
    prune = world.submit(job.PRUNE)
    assert not wakes(world, "sweep")
    marked(world, prune)
    (wake,) = wakes(world, "sweep")
    ticket = world.check_wake(wake)
    assert (ticket.job, ticket.fence, ticket.operations) == (prune, 1, ("decrypt", "encrypt", "prune"))
    spec = open_spec(world.people.workers[MAINTENANCE], prune, wake.spec)
    assert spec == SweepSpec(REPO, world.people.client.public, ())
    end(world, prune, role=MAINTENANCE)
    assert world.job(prune).state == "done"


@pytest.mark.parametrize("kind", ROLES)
def test_it_waits_for_every_job_that_began_before_the_mark(world: World, kind: str) -> None:
    old = world.submit(kind)
    prune = world.submit(job.PRUNE)
    between = world.submit(kind)
    marked(world, prune)
    later = world.submit(kind)
    for at in range(NOW, NOW + 3 * TICKET_LIFETIME_MS, TICKET_LIFETIME_MS // 2):
        for each in (old, between, later):
            world.scheduler().report(world.report(each, "alive", role=ROLES[kind], at_ms=at), at)
        world.scheduler().tick(at)
    assert not wakes(world, "sweep")
    assert len(wakes(world, "prune")) == 1, "and it is not begun anew meanwhile"
    end(world, old, role=ROLES[kind], at_ms=at)
    assert not wakes(world, "sweep")
    end(world, between, role=ROLES[kind], at_ms=at)
    assert len(wakes(world, "sweep")) == 1, "at once"
    assert world.job(later).state == "running"


def test_no_clock_says_who_was_first(world: World) -> None:
    """The clock was ahead when the backup began, and was put right since."""
    old = world.submit(sent_ms=NOW + 3600_000)
    prune = world.submit(job.PRUNE)
    marked(world, prune)
    assert not wakes(world, "sweep")
    end(world, old)
    assert wakes(world, "sweep")


def test_jobs_of_other_stacks_are_waited_for_and_those_of_other_vaults_are_not(world: World) -> None:
    elsewhere = world.body(
        vault=b"w" * 16,
        about=job.BackupSpec("file:///other", world.people.client.public, (b"/x",), (), (), "h"),
    )
    world.scheduler().submit(world.sign(elsewhere), NOW)
    old = world.body()
    world.scheduler(stack=b"o" * 16).submit(world.sign(old), NOW)
    marked(world, world.submit(job.PRUNE))
    assert not wakes(world, "sweep")
    end(world, old.job)
    assert wakes(world, "sweep")


def test_what_ended_lately_must_not_commit_any_more(world: World) -> None:
    failed, running, cancelled = world.submit(), world.submit(), world.submit()
    end(world, failed, "failed")
    world.scheduler().submit(world.sign(world.body(job.CANCEL, job=cancelled)), NOW)
    prune = world.submit(job.PRUNE)
    asked = open_spec(world.people.workers[MAINTENANCE], prune, wakes(world, "prune")[0].spec)
    assert isinstance(asked, PruneSpec)
    assert asked.running == (running,)
    marked(world, prune)
    end(world, running)
    spec = open_spec(world.people.workers[MAINTENANCE], prune, wakes(world, "sweep")[0].spec)
    assert isinstance(spec, SweepSpec)
    assert sorted(spec.ended) == sorted([failed, running, cancelled])


@pytest.mark.parametrize(("late_ms", "told"), [(0, True), (1, False)])
def test_a_sweep_is_told_of_jobs_that_ended_as_long_as_their_tickets_may_be_good(
    world: World, late_ms: int, told: bool
) -> None:
    ended = world.submit()
    end(world, ended, "failed")
    at = NOW + 2 * TICKET_LIFETIME_MS + late_ms
    prune = world.submit(job.PRUNE, sent_ms=at)
    marked(world, prune, at)
    spec = open_spec(world.people.workers[MAINTENANCE], prune, wakes(world, "sweep")[0].spec)
    assert isinstance(spec, SweepSpec)
    assert spec.ended == ((ended,) if told else ())


def test_voids_last_for_as_long_as_jobs_are_told_of() -> None:
    assert VOID_MS >= LATE_MS > TICKET_LIFETIME_MS


def test_with_more_that_ended_than_a_sweep_is_told_of_there_is_no_prune(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prunes, "MOST_ENDED", 2)
    first, second, third = world.submit(), world.submit(), world.submit()
    end(world, first, "failed")
    prune = world.submit(job.PRUNE)
    marked(world, prune)
    end(world, second)
    assert not wakes(world, "sweep"), "the third is waited for"
    end(world, third)
    assert not wakes(world, "sweep")
    verdict = world.verdicts(prune)[-1]
    assert (verdict.state, verdict.code) == ("failed", "too-many-ended")
    assert "12 hours" in verdict.remedy
    assert LATE_MS == 12 * 3600_000
    again = world.verdicts(world.submit(job.PRUNE))[-1]
    assert (again.state, again.code, again.remedy) == ("failed", "too-many-ended", verdict.remedy)
    assert len(wakes(world, "prune")) == 1, "and without a mark"
    late = NOW + LATE_MS + 1
    later = world.submit(job.PRUNE, sent_ms=late)
    marked(world, later, late)
    assert [wake.ticket.job for wake in wakes(world, "sweep")] == [later]


def test_as_many_as_a_sweep_is_told_of_are_all_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prunes, "MOST_ENDED", 2)
    both = [world.submit(), world.submit()]
    for each in both:
        end(world, each, "failed")
    prune = world.submit(job.PRUNE)
    marked(world, prune)
    spec = open_spec(world.people.workers[MAINTENANCE], prune, wakes(world, "sweep")[0].spec)
    assert isinstance(spec, SweepSpec)
    assert sorted(spec.ended) == sorted(both)


def test_the_most_that_a_sweep_is_told_of_fit_in_a_spec(world: World) -> None:
    ended = tuple(number.to_bytes(16, "big") for number in range(prunes.MOST_ENDED))
    spec = SweepSpec(REPO, world.people.client.public, ended)
    assert len(job.seal_spec(spec, b"j" * 16, world.registry.holders(MAINTENANCE))) < job.MAX_SPEC // 2


def test_a_ticket_for_the_mark_starts_no_sweep(world: World) -> None:
    prune = world.submit(job.PRUNE)
    assert isinstance(
        open_spec(world.people.workers[MAINTENANCE], prune, wakes(world, "prune")[0].spec), PruneSpec
    )
    marked(world, prune)
    assert wakes(world, "sweep")[0].ticket.spec != wakes(world, "prune")[0].ticket.spec


def test_a_scheduler_that_was_gone_goes_on_where_it_was(world: World) -> None:
    old = world.submit()
    prune = world.submit(job.PRUNE)
    marked(world, prune)
    late = NOW + LEASE_MS // 2
    end(world, old, at_ms=late)
    world.publisher.wakes.clear()
    restarted = world.scheduler()
    restarted.start(late)
    restarted.tick(late)
    assert world.job(prune).barrier == SWEEPING


@pytest.mark.parametrize("stage", ["parked", "sweeping"])
def test_one_whose_stack_died_goes_on_in_the_next(world: World, stage: str) -> None:
    prune, old = world.submit(job.PRUNE, detached=True), world.submit(detached=True)
    marked(world, prune)
    if stage == "sweeping":
        end(world, old)
    world.publisher.wakes.clear()
    new, late = world.scheduler(stack=b"n" * 16), NOW + 60_000
    new.start(late)
    new.tick(late)
    if stage == "sweeping":
        # Its sweep was lost with the broker: it begins again with its mark, which is there.
        assert [wake.ticket.fence for wake in wakes(world, "prune")] == [2]
        return
    assert not wakes(world, "sweep")
    assert not wakes(world, "prune")
    new.report(world.report(old, "done", at_ms=late, fence=world.job(old).fence), late)
    assert len(wakes(world, "sweep")) == 1


def test_a_sweep_whose_worker_is_lost_begins_again_with_its_mark(world: World) -> None:
    prune = world.submit(job.PRUNE)
    marked(world, prune)
    assert len(wakes(world, "sweep")) == 1
    late = NOW + LEASE_MS + TICK_MS
    world.scheduler().tick(late)
    assert [wake.ticket.fence for wake in wakes(world, "prune")] == [1, 2]
    marked(world, prune, late, fence=2)
    assert [wake.ticket.fence for wake in wakes(world, "sweep")] == [1, 2]


def test_a_mark_that_is_told_twice_is_swept_once(world: World) -> None:
    prune = world.submit(job.PRUNE)
    marked(world, prune)
    marked(world, prune)
    world.scheduler().tick(NOW + TICK_MS)
    assert len(wakes(world, "sweep")) == 1


def test_a_lost_wake_of_the_sweep_is_only_lost_time(world: World) -> None:
    old, prune = world.submit(), world.submit(job.PRUNE)
    marked(world, prune)
    world.publisher.down = True
    end(world, old)
    world.publisher.down = False
    assert not wakes(world, "sweep")
    world.scheduler().tick(NOW + LEASE_MS + TICK_MS)
    marked(world, prune, NOW + LEASE_MS + TICK_MS, fence=2)
    assert len(wakes(world, "sweep")) == 1


def test_a_cancelled_prune_sweeps_nothing(world: World) -> None:
    old, prune = world.submit(), world.submit(job.PRUNE)
    marked(world, prune)
    world.scheduler().submit(world.sign(world.body(job.CANCEL, job=prune)), NOW)
    end(world, old)
    world.scheduler().tick(NOW + TICK_MS)
    assert not wakes(world, "sweep")


def test_a_ledger_that_has_not_seen_the_vaults_jobs_prunes_nothing(world: World) -> None:
    world.ledger.forget_jobs(NOW + 1)
    prune = world.submit(job.PRUNE)
    (verdict,) = world.verdicts(prune)
    assert (verdict.state, verdict.code) == ("failed", "too-soon")
    backup = world.submit()
    end(world, backup)
    assert world.verdicts(world.submit(job.PRUNE))[0].code == "too-soon"
    late = NOW + TICKET_LIFETIME_MS
    assert world.verdicts(world.submit(job.PRUNE, sent_ms=late))[0].state == "queued"


def test_with_a_stack_of_its_own_it_does_not_wait_for_a_backup_that_nobody_does(world: World) -> None:
    world.submit(detached=True)
    world.scheduler().stop(NOW + 1)
    own = world.scheduler(stack=b"n" * 16, one_shot=True)
    own.start(NOW + 2)
    body = world.body(job.PRUNE)
    own.submit(world.sign(body), NOW + 2)
    own.report(world.report(body.job, "planned", role=MAINTENANCE, at_ms=NOW + 3, segments=1), NOW + 3)
    assert (world.job(body.job).state, world.job(body.job).code) == ("failed", "no-stack")
    assert not wakes(world, "sweep")
