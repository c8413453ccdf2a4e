import pytest

from scheduler import stacks
from scheduler.stacks import GONE_MS, SHARED, stack_id
from tests.scheduler.world import NOW, World

ONE, TWO = b"1" * 16, b"2" * 16


def submit_in(world: World, stack: bytes, *, detached: bool) -> bytes:
    body = world.body(detached=detached)
    scheduler = world.scheduler(stack=stack)
    scheduler.start(NOW)
    scheduler.submit(world.sign(body), NOW)
    return body.job


def test_a_scheduler_that_is_started_again_is_the_same_stack_another_broker_is_not() -> None:
    url = "redis+socket://scheduler:first@/tmp/run-a/valkey.sock?virtual_host=0"
    assert stack_id(url, external=False) == stack_id(url.replace("first", "second"), external=False)
    assert stack_id(url, external=False) != stack_id(url.replace("run-a", "run-b"), external=False)
    assert stack_id("rediss://a:b@one/0", external=True) == stack_id("rediss://c:d@one/0", external=True)
    assert {len(stack_id(url, external=False)), len(SHARED)} == {16}


def test_when_a_one_shot_stack_ends_its_jobs_are_interrupted(world: World) -> None:
    attached = submit_in(world, ONE, detached=False)
    detached = submit_in(world, ONE, detached=True)
    world.scheduler(stack=ONE, one_shot=True).stop(NOW)
    assert world.job(attached).code == "interrupted"
    assert world.verdicts(attached)[-1].state == "failed"
    assert world.job(detached).state == "queued"


def test_a_stack_that_was_killed_leaves_its_jobs_to_the_next_one(world: World) -> None:
    attached = submit_in(world, ONE, detached=False)
    detached = submit_in(world, ONE, detached=True)
    later = NOW + GONE_MS + 1
    world.scheduler(stack=TWO).start(later)
    assert world.job(attached).code == "interrupted"
    assert world.job(detached).stack == TWO
    world.scheduler(stack=TWO).tick(later)
    assert world.publisher.wakes[-1].ticket.fence == 2


def test_a_one_shot_stack_does_not_begin_what_it_cannot_finish(world: World) -> None:
    detached = submit_in(world, ONE, detached=True)
    world.scheduler(stack=TWO, one_shot=True).start(NOW + GONE_MS + 1)
    world.scheduler(stack=TWO, one_shot=True).tick(NOW + 10 * GONE_MS)
    assert world.job(detached).stack == ONE
    assert len(world.publisher.wakes) == 1


@pytest.mark.parametrize("detached", [True, False])
def test_two_stacks_that_live_leave_each_others_jobs_alone(world: World, detached: bool) -> None:
    job_id = submit_in(world, ONE, detached=detached)
    for at in range(NOW, NOW + 10 * GONE_MS, 5000):
        world.scheduler(stack=ONE).tick(at)
        world.scheduler(stack=TWO).tick(at + 1)
    assert world.job(job_id).stack == ONE
    assert world.job(job_id).code == ""


def test_an_external_broker_stays_when_a_scheduler_stops(world: World) -> None:
    job_id = submit_in(world, SHARED, detached=False)
    stacks.sign_off(world.parts(stack=SHARED), NOW)
    assert world.job(job_id).state == "queued"
