import pytest

from crypto import job
from crypto.job import TidySpec, open_spec
from crypto.registry import MAINTENANCE, Registry
from scheduler.tidy import AGAIN_MS, SETTLE_MS
from tests.scheduler.world import NOW, REPO, Wake, World


def tidies(world: World) -> list[Wake]:
    return [wake for wake in world.publisher.wakes if wake.task == "maintenance.tidy"]


def test_a_backup_that_is_done_is_tidied_up_after_at_once(world: World) -> None:
    job_id = world.submit()
    world.scheduler().report(world.report(job_id, "done"), NOW)
    (wake,) = tidies(world)
    assert world.check_wake(wake).operations == ()
    spec = open_spec(world.people.workers[MAINTENANCE], wake.ticket.job, wake.spec)
    assert spec == TidySpec(REPO, world.people.operator.opening.public, (job_id,))
    assert not world.verdicts(wake.ticket.job), "nobody waits for it"


def test_what_is_tidied_is_tidied_once(world: World) -> None:
    job_id = world.submit()
    world.scheduler().report(world.report(job_id, "done"), NOW)
    world.scheduler().report(world.report(tidies(world)[0].ticket.job, "done", role=MAINTENANCE), NOW)
    world.scheduler().tick(NOW + 2 * AGAIN_MS)
    assert world.job(job_id).tidied
    assert len(tidies(world)) == 1


@pytest.mark.parametrize("how", ["failed", "cancelled"])
def test_a_backup_that_did_not_end_well_gets_time_to_settle(world: World, how: str) -> None:
    job_id = world.submit()
    if how == "failed":
        world.scheduler().report(world.report(job_id, "failed", code="store-full"), NOW)
    else:
        world.scheduler().submit(world.sign(world.body(job.CANCEL, job=job_id)), NOW)
    world.scheduler().tick(NOW + SETTLE_MS - 1)
    assert not tidies(world)
    world.scheduler().tick(NOW + SETTLE_MS)
    assert len(tidies(world)) == 1


def test_several_backups_of_a_vault_are_one_tidy_job(world: World) -> None:
    jobs = [world.submit() for _ in range(3)]
    for at, job_id in enumerate(jobs):
        world.scheduler().report(world.report(job_id, "failed", code="x"), NOW + at)
    world.scheduler().tick(NOW + 2 * SETTLE_MS)
    (wake,) = tidies(world)
    spec = open_spec(world.people.workers[MAINTENANCE], wake.ticket.job, wake.spec)
    assert isinstance(spec, TidySpec)
    assert spec.jobs == tuple(jobs)


def test_a_tidy_job_that_failed_is_not_tried_again_at_every_tick(world: World) -> None:
    world.scheduler().report(world.report(world.submit(), "done"), NOW)
    first = tidies(world)[0].ticket.job
    world.scheduler().report(world.report(first, "failed", role=MAINTENANCE, code="object-missing"), NOW)
    for at in range(NOW, NOW + AGAIN_MS, 60_000):
        world.scheduler().tick(at)
    assert len(tidies(world)) == 1
    world.scheduler().tick(NOW + AGAIN_MS)
    assert len(tidies(world)) == 2


def test_a_tidy_job_whose_stack_ended_is_made_again_by_the_next(world: World) -> None:
    world.scheduler().report(world.report(world.submit(), "done"), NOW)
    world.scheduler().stop(NOW + 1)
    world.scheduler(stack=b"n" * 16, one_shot=True).tick(NOW + 2)
    assert len(tidies(world)) == 2


def test_a_vault_that_is_gone_has_nothing_to_tidy(world: World) -> None:
    job_id = world.submit()
    world.scheduler().report(world.report(job_id, "failed", code="x"), NOW)
    world.registry = Registry(tenant=world.registry.tenant, identities=world.registry.identities)
    world.scheduler().tick(NOW + SETTLE_MS)
    assert world.job(job_id).tidied
    assert not tidies(world)


def test_only_backups_leave_something_to_tidy(world: World) -> None:
    job_id = world.submit(job.CHECK)
    world.scheduler().report(world.report(job_id, "done", role=MAINTENANCE), NOW)
    world.scheduler().tick(NOW + 2 * SETTLE_MS)
    assert not tidies(world)
