from datetime import datetime

import msgspec
import pytest

from config.schedules import Schedule
from crypto.job import BackupSpec, open_spec
from crypto.registry import BACKUP
from scheduler.slots import CLOCK_STEP_MS, MISSED_MS
from tests.scheduler.world import World, enrol

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def schedule(cron: str, zone: str = "UTC", *, catch_up: bool = True, vault: str = "documents") -> Schedule:
    return Schedule("nightly", vault, ("/home/a/",), cron, zone, ("*.tmp",), ("auto",), catch_up)


def ms(text: str) -> int:
    """ISO text with an offset, as ms since 1970."""
    return int(datetime.fromisoformat(text).timestamp() * 1000)


NIGHTLY = schedule("0 3 * * *")
START = ms("2026-05-01T12:00:00+00:00")
SLOT = ms("2026-05-02T03:00:00+00:00")


def run(world: World, plan: Schedule, *ticks: int, finish: bool = True) -> list[int]:
    """Tick at each time, ending every job at once; returns the slots that fired."""
    fired = []
    for at in ticks:
        before = len(world.publisher.wakes)
        world.scheduler(schedules=(plan,)).tick(at)
        for wake in world.publisher.wakes[before:]:
            job = world.job(wake.ticket.job)
            if job.slot_ms is None:
                continue
            fired.append(job.slot_ms)
            if finish:
                text = world.report(job.id, "done", fence=job.fence, at_ms=at)
                world.scheduler().report(text, at)
    return fired


def test_a_schedule_begins_when_it_is_first_seen(world: World) -> None:
    assert run(world, NIGHTLY, START, START + 5000, SLOT - 1) == []
    assert run(world, NIGHTLY, SLOT, SLOT + 5000, SLOT + HOUR) == [SLOT]


def test_the_job_of_a_slot_is_the_schedulers_own_and_goes_on_without_a_client(world: World) -> None:
    run(world, NIGHTLY, START, SLOT, finish=False)
    (wake,) = world.publisher.wakes
    job = world.job(wake.ticket.job)
    assert (job.operator, job.detached, job.schedule) == (world.people.scheduler.id, True, "nightly")
    spec = open_spec(world.people.workers[BACKUP], job.id, wake.spec)
    assert spec == BackupSpec(
        "file:///repo", world.people.operator.opening.public, (b"/home/a",), ("*.tmp",), ("auto",), "host"
    )
    assert not world.publisher.letters


def test_the_uri_of_a_bucket_goes_to_the_workers_as_it_is(world: World) -> None:
    uri = "s3://bucket/a//b?profile=p"
    run(world, msgspec.structs.replace(NIGHTLY, paths=(uri,)), START, SLOT, finish=False)
    (wake,) = world.publisher.wakes
    spec = open_spec(world.people.workers[BACKUP], wake.ticket.job, wake.spec)
    assert isinstance(spec, BackupSpec)
    assert spec.paths == (uri.encode(),)


def test_missed_slots_are_caught_up_once(world: World) -> None:
    assert run(world, NIGHTLY, START, SLOT + 5 * DAY + HOUR, SLOT + 5 * DAY + 2 * HOUR) == [SLOT + 5 * DAY]
    assert run(world, NIGHTLY, SLOT + 6 * DAY) == [SLOT + 6 * DAY]


def test_a_schedule_without_catch_up_waits_for_the_next_slot(world: World) -> None:
    plan = schedule("0 3 * * *", catch_up=False)
    assert run(world, plan, START, SLOT + MISSED_MS + 1, SLOT + HOUR) == []
    assert run(world, plan, SLOT + DAY + MISSED_MS) == [SLOT + DAY]


def test_while_a_run_lasts_no_second_one_begins_and_what_it_missed_is_made_up_for_once(world: World) -> None:
    plan = schedule("*/10 * * * *")
    begin = START + 10 * MINUTE
    (first,) = run(world, plan, START, begin, finish=False)
    job_id = world.publisher.wakes[0].ticket.job
    for at in range(begin, begin + 55 * MINUTE, MINUTE // 2):
        world.scheduler().report(world.report(job_id, "alive", at_ms=at), at)
        assert run(world, plan, at) == []
    end = begin + 55 * MINUTE
    world.scheduler().report(world.report(job_id, "done", at_ms=end), end)
    assert run(world, plan, end, end + 1000) == [first + 50 * MINUTE]


def test_another_rule_begins_anew(world: World) -> None:
    run(world, NIGHTLY, START, SLOT)
    changed = schedule("0 1 * * *")
    assert run(world, changed, SLOT + 30 * MINUTE, SLOT + HOUR) == []
    assert run(world, changed, SLOT + 22 * HOUR) == [SLOT + 22 * HOUR]


def test_a_clock_that_was_wrong_for_a_while_does_not_silence_a_schedule(world: World) -> None:
    run(world, NIGHTLY, START, SLOT + 3650 * DAY)
    assert run(world, NIGHTLY, START + CLOCK_STEP_MS, SLOT) == [SLOT]


def test_a_clock_that_steps_back_a_little_fires_nothing_twice(world: World) -> None:
    assert run(world, NIGHTLY, START, SLOT, SLOT - 5000, SLOT, SLOT + 5000) == [SLOT]


@pytest.mark.parametrize("lack", ["vault", "operator", "worker"])
def test_a_schedule_that_cannot_run_does_not_stop_the_others(world: World, lack: str) -> None:
    if lack == "operator":
        world.registry = world.registry.with_identity(enrol(world.people.operator))
    if lack == "worker":
        world.registry = world.registry.with_identity(enrol(world.people.workers[BACKUP]))
    broken = Schedule("broken", "no-such" if lack == "vault" else "documents", ("/a",), "0 3 * * *")
    for at in (START, SLOT, SLOT + 5000):
        world.scheduler(schedules=(broken, NIGHTLY)).tick(at)
    assert len(world.publisher.wakes) == (1 if lack == "vault" else 0)


def test_a_one_shot_stack_runs_no_schedules(world: World) -> None:
    for at in (START, SLOT, SLOT + DAY):
        world.scheduler(schedules=(NIGHTLY,), one_shot=True).tick(at)
    assert not world.publisher.wakes


# Europe/Berlin: 2026-03-29 02:00 CET -> 03:00 CEST, 2026-10-25 03:00 CEST -> 02:00 CET.
DST = {
    "time that is skipped": ("30 2 * * *", "2026-03-29", ["2026-03-29T03:00:00+02:00"]),
    "time that comes twice": ("30 2 * * *", "2026-10-25", ["2026-10-25T02:30:00+02:00"]),
    "time after the change": ("0 4 * * *", "2026-03-29", ["2026-03-29T04:00:00+02:00"]),
    "every half hour over the gap": (
        "*/30 1-3 * * *",
        "2026-03-29",
        [
            "2026-03-29T01:00:00+01:00",
            "2026-03-29T01:30:00+01:00",
            "2026-03-29T03:00:00+02:00",
            "2026-03-29T03:30:00+02:00",
        ],
    ),
    "every half hour of the hour that comes twice": (
        "*/30 2 * * *",
        "2026-10-25",
        [
            "2026-10-25T02:00:00+02:00",
            "2026-10-25T02:30:00+02:00",
            "2026-10-25T02:00:00+01:00",
            "2026-10-25T02:30:00+01:00",
        ],
    ),
}


@pytest.mark.parametrize("case", DST)
def test_slots_around_a_change_of_the_clock(world: World, case: str) -> None:
    cron, day, expected = DST[case]
    begin = ms(f"{day}T00:00:00+02:00") - HOUR
    ticks = range(begin, begin + 24 * HOUR, 10 * MINUTE)
    assert run(world, schedule(cron, "Europe/Berlin"), *ticks) == [ms(text) for text in expected]
