import pytest

from config.queues import TIDY
from crypto import job
from crypto.registry import Registry
from scheduler import lifecycle, reaper
from scheduler.lifecycle import (
    BUSY_PATIENCE_MS,
    CLAIM_MS,
    LEASE_MS,
    MAX_ATTEMPTS,
    PATIENCE_MS,
    TICKET_LIFETIME_MS,
)
from tests.scheduler.world import NOW, STACK, World


def fences(world: World) -> list[int]:
    return [wake.ticket.fence for wake in world.publisher.wakes if wake.task != TIDY]


def reap(world: World, at_ms: int) -> None:
    reaper.reap(world.parts(), world.registry, at_ms)


def test_a_lease_that_runs_out_drives_the_job_again_under_the_next_fence(world: World) -> None:
    job_id = world.submit(detached=True)
    world.scheduler().report(world.report(job_id, "alive"), NOW)
    reap(world, NOW + LEASE_MS - 1)
    assert fences(world) == [1]
    reap(world, NOW + LEASE_MS)
    assert fences(world) == [1, 2]
    assert world.job(job_id).attempts == 2
    assert world.check_wake(world.publisher.wakes[1], NOW + LEASE_MS).job == job_id


def test_the_stale_worker_is_not_heard_the_new_one_is(world: World) -> None:
    job_id = world.submit()
    world.scheduler().report(world.report(job_id, "alive"), NOW)
    reap(world, NOW + LEASE_MS)
    world.scheduler().report(world.report(job_id, "done", fence=1), NOW + LEASE_MS)
    assert world.job(job_id).state == "queued"
    world.scheduler().report(world.report(job_id, "done", fence=2), NOW + LEASE_MS)
    assert world.job(job_id).state == "done"


def test_a_wake_that_nobody_takes_is_void_when_the_next_one_is_sent(world: World) -> None:
    world.submit(detached=True)
    at = NOW
    for _ in range(MAX_ATTEMPTS):
        wake = world.publisher.wakes[-1]
        at += int(wake.expires_s * 1000)
        reap(world, at - 1)
        assert world.publisher.wakes[-1] is wake
        reap(world, at)
    assert fences(world) == [1, 2, 3, 4, 5]
    assert [wake.expires_s for wake in world.publisher.wakes] == [60, 120, 240, 480, 960]


@pytest.mark.parametrize(("reported", "code"), [(False, "no-worker"), (True, "lost")])
def test_after_five_attempts_the_job_fails_and_says_why(world: World, reported: bool, code: str) -> None:
    job_id = world.submit(detached=True)
    at = NOW
    for fence in range(1, MAX_ATTEMPTS + 1):
        if reported:
            world.scheduler().report(world.report(job_id, "alive", fence=fence, at_ms=at), at)
        at = world.job(job_id).lease_until_ms
        reap(world, at)
    verdict = world.verdicts(job_id)[-1]
    assert (verdict.state, verdict.code, verdict.attempts) == ("failed", code, MAX_ATTEMPTS)
    assert verdict.remedy
    reap(world, at + 10 * LEASE_MS)
    assert len(world.publisher.wakes) == MAX_ATTEMPTS


def test_a_job_behind_others_in_a_busy_queue_is_not_driven_again(world: World) -> None:
    first, second = world.submit(), world.submit()
    assert world.publisher.wakes[1].expires_s * 1000 == BUSY_PATIENCE_MS
    for at in range(NOW, NOW + 600_000, 10_000):
        world.scheduler().report(world.report(first, "alive", at_ms=at), at)
        reap(world, at)
    assert fences(world) == [1, 1]
    world.scheduler().report(world.report(first, "done", at_ms=NOW + 600_000), NOW + 600_000)
    reap(world, NOW + 600_000 + LEASE_MS)
    assert fences(world) == [1, 1, 2]
    assert world.job(second).attempts == 2


def test_even_behind_a_busy_queue_a_job_is_driven_again_at_last(world: World) -> None:
    first, second = world.submit(), world.submit()
    for at in range(NOW, NOW + BUSY_PATIENCE_MS + 60_000, 10_000):
        world.scheduler().report(world.report(first, "alive", at_ms=at), at)
        reap(world, at)
    assert world.job(second).fence == 2


def test_jobs_of_another_role_do_not_make_a_queue_busy(world: World) -> None:
    restore = world.submit(job.RESTORE)
    world.submit()
    at = NOW + PATIENCE_MS
    world.scheduler().report(world.report(restore, "alive", role="restore", at_ms=at), at)
    reap(world, at)
    assert world.publisher.wakes[-1].ticket.fence == 2


def test_a_scheduler_that_died_before_publishing_loses_nothing(world: World) -> None:
    world.publisher.down = True
    job_id = world.submit(detached=True)
    world.publisher.down = False
    world.scheduler().start(NOW + 1)
    world.scheduler().tick(NOW + CLAIM_MS - 1)
    assert fences(world) == []
    world.scheduler().tick(NOW + CLAIM_MS)
    assert fences(world) == [2], "fence 1 may have been published"
    assert world.job(job_id).attempts == 1


def test_a_broker_that_is_away_costs_no_attempt(world: World) -> None:
    world.publisher.down = True
    job_id = world.submit(detached=True)
    for at in range(NOW, NOW + 100 * CLAIM_MS, CLAIM_MS):
        world.scheduler().tick(at)
    assert world.job(job_id).attempts == 1
    world.publisher.down = False
    world.scheduler().tick(NOW + 100 * CLAIM_MS)
    assert world.job(job_id).state == "queued"
    assert len(fences(world)) == 1


def test_a_job_whose_client_is_gone_ends_with_its_ticket(world: World) -> None:
    gone, stays = world.submit(), world.submit(detached=True)
    reap(world, NOW + TICKET_LIFETIME_MS)
    assert (world.job(gone).state, world.job(gone).code) == ("failed", "interrupted")
    assert world.job(stays).state == "queued"
    world.check_wake(world.publisher.wakes[-1], NOW + TICKET_LIFETIME_MS)


def test_a_job_whose_vault_is_no_longer_registered_fails(world: World) -> None:
    job_id = world.submit(detached=True)
    world.registry = Registry(tenant=world.registry.tenant, identities=world.registry.identities)
    reap(world, NOW + PATIENCE_MS)
    assert (world.job(job_id).state, world.job(job_id).code) == ("failed", "vault-unknown")
    assert world.verdicts(job_id)[-1].remedy


def test_a_worker_that_is_faster_than_the_ledger_is_not_set_back(world: World) -> None:
    parts = world.parts()

    class Eager(type(world.publisher)):  # type: ignore[misc]
        def wake(self, *arguments: object) -> None:
            super().wake(*arguments)
            world.scheduler().report(world.report(self.wakes[0].ticket.job, "alive"), NOW)

    world.publisher = Eager()
    job_id = world.submit()
    assert world.job(job_id).state == "running"
    assert parts.stack == STACK
    assert world.job(job_id).lease_until_ms == NOW + lifecycle.LEASE_MS
