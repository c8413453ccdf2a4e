"""Which jobs of a vault wait for each other; backups, restores and listings wait for nobody."""

import pytest

from crypto import job
from crypto.job import CHECK, EXTEND, FORGET, PRUNE
from crypto.registry import MAINTENANCE
from tests.scheduler.world import NOW, World

TICK_MS = 5000


@pytest.fixture
def world(world: World) -> World:
    world.know_vault()
    return world


def published(world: World, job_id: bytes) -> bool:
    return any(wake.ticket.job == job_id for wake in world.publisher.wakes)


def report(world: World, job_id: bytes, kind: str, at_ms: int = NOW) -> None:
    world.scheduler().report(world.report(job_id, kind, role=MAINTENANCE, segments=1, at_ms=at_ms), at_ms)


def prune_in(world: World, stage: str) -> bytes:
    """A prune that marks, that has marked and waits for a backup, or that sweeps."""
    if stage == "parked":
        world.submit(job.BACKUP)
    prune = world.submit(PRUNE)
    assert published(world, prune)
    if stage != "marking":
        report(world, prune, "planned")
    return prune


@pytest.mark.parametrize("kind", [FORGET, PRUNE, CHECK, EXTEND])
@pytest.mark.parametrize("stage", ["marking", "parked", "sweeping"])
def test_who_waits_for_a_prune(world: World, kind: str, stage: str) -> None:
    prune = prune_in(world, stage)
    waits = {FORGET: stage != "parked", PRUNE: True, CHECK: stage == "sweeping", EXTEND: stage == "sweeping"}
    other = world.submit(kind)
    assert published(world, other) != waits[kind]
    assert world.verdicts(other)[0].state == "queued"
    world.scheduler().tick(NOW + TICK_MS)
    assert published(world, other) != waits[kind]
    report(world, prune, "failed", NOW + TICK_MS)
    world.scheduler().tick(NOW + 2 * TICK_MS)
    assert published(world, other)
    assert world.job(other).fence == 1, "it was put off, not tried in vain"


@pytest.mark.parametrize("kind", [job.BACKUP, job.RESTORE, job.LIST, job.FIND, job.DIFF])
@pytest.mark.parametrize("stage", ["marking", "parked", "sweeping"])
def test_backups_and_restores_never_wait(world: World, kind: str, stage: str) -> None:
    prune_in(world, stage)
    assert published(world, world.submit(kind))


@pytest.mark.parametrize("kind", [FORGET, CHECK, EXTEND])
def test_a_sweep_waits_for_whoever_forgets_or_looks_at_everything(world: World, kind: str) -> None:
    prune = prune_in(world, "marking")
    backup = world.submit(job.BACKUP)
    report(world, prune, "planned")
    other = world.submit(kind)
    assert published(world, other)
    world.scheduler().report(world.report(backup, "done"), NOW)
    assert world.job(prune).barrier > 0
    report(world, other, "done")
    assert world.job(prune).barrier < 0


def test_two_forgets_of_a_vault_go_one_after_the_other(world: World) -> None:
    first, second = world.submit(FORGET), world.submit(FORGET)
    assert (published(world, first), published(world, second)) == (True, False)
    report(world, first, "done")
    world.scheduler().tick(NOW + TICK_MS)
    assert published(world, second)


def test_a_prune_waits_for_a_forget_and_not_for_a_check(world: World) -> None:
    world.submit(CHECK)
    forget = world.submit(FORGET)
    prune = world.submit(PRUNE)
    assert not published(world, prune)
    report(world, forget, "done")
    world.scheduler().tick(NOW + TICK_MS)
    assert published(world, prune)


def test_one_that_was_published_keeps_its_turn_through_its_attempts(world: World) -> None:
    first = world.submit(FORGET)
    text = world.report(first, "failed", role=MAINTENANCE, code="store-unreachable", retryable=True)
    world.scheduler().report(text, NOW)
    second = world.submit(FORGET)
    assert not published(world, second)
    world.scheduler().tick(NOW + 2 * TICK_MS)
    assert world.job(first).fence == 2
    assert not published(world, second)


@pytest.mark.parametrize("kind", [FORGET, PRUNE, CHECK])
def test_nobody_waits_for_a_job_whose_stack_is_gone(world: World, kind: str) -> None:
    prune = world.submit(PRUNE, detached=True)
    report(world, prune, "planned")
    world.scheduler().stop(NOW + 1)
    own = world.scheduler(stack=b"n" * 16, one_shot=True)
    own.start(NOW + 2)
    body = world.body(kind)
    own.submit(world.sign(body), NOW + 2)
    assert published(world, body.job)
