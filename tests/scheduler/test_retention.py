"""Retention: forgets that recur, and the prune after each, as jobs that `strongroom forget --prune` would make."""

import logging
from datetime import datetime

import msgspec
import pytest

from client.arguments import snapshot_filter
from client.policy import keep_policy
from config.schedules import Retention, Schedule
from crypto import job as jobs
from crypto.job import BACKUP, FORGET, PRUNE, ForgetSpec, PruneSpec, open_spec
from crypto.registry import MAINTENANCE
from scheduler.lifecycle import DONE, FAILED, TICKET_LIFETIME_MS, Job
from scheduler.retention import forget_spec
from scheduler.slots import MISSED_MS
from tests.scheduler.world import NOW, REPO, STACK, VAULT, Wake, World, enrol

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
WEEKLY = Retention("keep", "documents", "0 5 * * 0", keep_daily=7, keep_monthly=12, prune=True)
START = int(datetime.fromisoformat("2026-05-01T12:00:00+00:00").timestamp() * 1000)
SLOT = int(datetime.fromisoformat("2026-05-03T05:00:00+00:00").timestamp() * 1000)
WEEK = 7 * DAY


@pytest.fixture
def world(world: World) -> World:
    world.know_vault()
    return world


def tick(world: World, policy: Retention, *times: int) -> None:
    for at in times:
        world.scheduler(retention=(policy,)).tick(at)


def wakes(world: World, kind: str) -> list[Wake]:
    return [wake for wake in world.publisher.wakes if wake.task == f"maintenance.{kind}"]


def asked_by(world: World, name: str = "keep") -> list[tuple[str, int | None]]:
    """Kind and slot of every job of a retention, oldest first."""
    return [(each.kind, each.slot_ms) for each in reversed(world.ledger.newest(100)) if each.schedule == name]


def newest(world: World, kind: str) -> Job:
    found = world.ledger.latest(kind, VAULT)
    assert found is not None
    return found


def end(world: World, policy: Retention, kind: str, at_ms: int, how: str = "done") -> None:
    """Have a worker report that the newest job of a kind has ended."""
    job = newest(world, kind)
    text = world.report(
        job.id, how, role=MAINTENANCE, fence=job.fence, at_ms=at_ms, code="x" * (how != "done")
    )
    world.scheduler(retention=(policy,)).report(text, at_ms)


def test_the_forget_of_a_slot_is_the_schedulers_own_and_allows_what_a_persons_does(world: World) -> None:
    policy = msgspec.structs.replace(WEEKLY, prune=False)
    tick(world, policy, START, SLOT - 1)
    assert not world.publisher.wakes
    tick(world, policy, SLOT)
    (wake,) = world.publisher.wakes
    job = world.job(wake.ticket.job)
    assert (job.kind, job.operator, job.detached) == (FORGET, world.people.scheduler.id, True)
    assert (job.schedule, job.slot_ms) == ("keep", SLOT)
    spec = open_spec(world.people.workers[MAINTENANCE], job.id, wake.spec)
    assert spec == ForgetSpec(
        REPO, world.people.operator.opening.public, (), jobs.KeepPolicy(daily=7, monthly=12), jobs.ANY
    )
    assert not world.publisher.letters
    end(world, policy, FORGET, SLOT + 1)
    by_schedule = world.check_wake(wake, SLOT)
    by_hand = world.job(world.submit(FORGET)).id
    (other,) = (each for each in wakes(world, FORGET) if each.ticket.job == by_hand)
    for field in ("role", "operations", "vault", "max_unwraps"):
        assert getattr(by_schedule, field) == getattr(other.ticket, field)


OBJECTS = (
    "/s3:/bucket/prefix",
    "s3://bucket",
    "s3://bucket/",
    "s3://bucket/prefix",
    "s3://bucket/a/b%20c%3Fd/?endpoint=https://s3.example&region=r1",
    "s3://bucket/\u00e9+%C3%A9/",
)


def test_what_a_table_says_is_what_the_same_options_say() -> None:
    table = Retention(
        "keep",
        "documents",
        "0 5 * * 0",
        hosts=("web1", "web2"),
        tags=("nightly", "a,b"),
        paths=("/srv/www/", *OBJECTS),
        keep_last=3,
        keep_hourly="unlimited",
        keep_weekly=5,
        keep_yearly=2,
        keep_within="1y6m2d12h",
        keep_tags=("for ever", "x,y"),
    )
    options = {
        "keep_last": 3,
        "keep_hourly": -1,
        "keep_daily": 0,
        "keep_weekly": 5,
        "keep_monthly": 0,
        "keep_yearly": 2,
        "keep_within": "1y6m2d12h",
        "keep_tag": ("for ever", "x,y"),
    }
    wanted = snapshot_filter(("web1", "web2"), ("nightly", "a,b"), ("/srv/www/", *OBJECTS))
    asked = ForgetSpec(REPO, b"r", (), keep_policy(options), wanted, dry_run=False, remove_all=False)
    assert forget_spec(table, REPO, b"r") == asked


def test_a_prune_follows_each_forget_that_ended_well_once(world: World) -> None:
    policy = msgspec.structs.replace(WEEKLY, max_unused=20.0)
    tick(world, policy, START, SLOT)
    assert not wakes(world, PRUNE)
    end(world, policy, FORGET, SLOT + 1000)
    (wake,) = wakes(world, PRUNE)
    job = world.job(wake.ticket.job)
    assert (job.operator, job.detached, job.schedule) == (world.people.scheduler.id, True, "keep")
    spec = open_spec(world.people.workers[MAINTENANCE], job.id, wake.spec)
    assert spec == PruneSpec(REPO, world.people.operator.opening.public, 0.2)
    end(world, policy, FORGET, SLOT + 2000)  # is dropped: it has ended
    tick(world, policy, SLOT + 5000)
    end(world, policy, PRUNE, SLOT + 6000)
    tick(world, policy, SLOT + 10_000, SLOT + WEEK)
    end(world, policy, FORGET, SLOT + WEEK + 1000)
    assert asked_by(world) == [(FORGET, SLOT), (PRUNE, None), (FORGET, SLOT + WEEK), (PRUNE, None)]


def test_its_prune_marks_waits_and_sweeps_as_any(world: World) -> None:
    backup = world.submit(BACKUP, detached=True)
    tick(world, WEEKLY, START, SLOT)
    end(world, WEEKLY, FORGET, SLOT + 1000)
    spec = open_spec(world.people.workers[MAINTENANCE], newest(world, PRUNE).id, wakes(world, PRUNE)[0].spec)
    assert isinstance(spec, PruneSpec)
    assert spec.running == (backup,), "as a person's prune is told which backups run"
    text = world.report(newest(world, PRUNE).id, "planned", role=MAINTENANCE, at_ms=SLOT + 2000, segments=1)
    world.scheduler().report(text, SLOT + 2000)
    assert not wakes(world, "sweep")
    world.scheduler().report(world.report(backup, "failed", at_ms=SLOT + 3000), SLOT + 3000)
    assert len(wakes(world, "sweep")) == 1


@pytest.mark.parametrize("why", ["it failed", "it was cancelled", "no prune is wanted"])
def test_no_prune_follows(world: World, why: str) -> None:
    policy = msgspec.structs.replace(WEEKLY, prune=why != "no prune is wanted")
    tick(world, policy, START, SLOT)
    if why == "it was cancelled":
        body = world.body(jobs.CANCEL, job=newest(world, FORGET).id, sent_ms=SLOT)
        world.scheduler(retention=(policy,)).submit(world.sign(body), SLOT)
    else:
        end(world, policy, FORGET, SLOT + 1, "failed" if why == "it failed" else "done")
    assert newest(world, FORGET).over
    tick(world, policy, SLOT + 5000, SLOT + DAY)
    assert asked_by(world) == [(FORGET, SLOT)]


def test_a_forget_by_hand_is_followed_by_nothing(world: World) -> None:
    tick(world, WEEKLY, START)
    world.submit(FORGET)
    end(world, WEEKLY, FORGET, START + 1)
    tick(world, WEEKLY, START + 5000)
    assert not wakes(world, PRUNE)


def test_nothing_is_stacked_up_and_what_was_missed_is_made_up_for_once(world: World) -> None:
    policy = msgspec.structs.replace(WEEKLY, cron="*/10 * * * *")
    first = START + 10 * MINUTE
    tick(world, policy, START, first)
    for at in range(first, first + 25 * MINUTE, MINUTE):
        job = newest(world, FORGET)
        world.scheduler().report(world.report(job.id, "alive", role=MAINTENANCE, at_ms=at), at)
        tick(world, policy, at)
    assert asked_by(world) == [(FORGET, first)]
    end(world, policy, FORGET, at)
    for later in range(at, at + 25 * MINUTE, MINUTE):
        job = newest(world, PRUNE)
        world.scheduler().report(world.report(job.id, "alive", role=MAINTENANCE, at_ms=later), later)
        tick(world, policy, later)
    assert asked_by(world) == [(FORGET, first), (PRUNE, None)], "nor while its prune lasts"
    end(world, policy, PRUNE, later)
    tick(world, policy, later, later + 1000)
    assert asked_by(world)[2:] == [(FORGET, first + 40 * MINUTE)]


def test_a_missed_slot_is_caught_up_once_or_not_at_all(world: World) -> None:
    lazy = msgspec.structs.replace(WEEKLY, name="lazy", catch_up=False)
    both = (WEEKLY, lazy)
    for at in (START, SLOT + 3 * WEEK + MISSED_MS + 1, SLOT + 3 * WEEK + HOUR):
        world.scheduler(retention=both).tick(at)
    assert (asked_by(world), asked_by(world, "lazy")) == ([(FORGET, SLOT + 3 * WEEK)], [])


@pytest.mark.parametrize("lack", ["vault", "operator", "worker"])
def test_one_that_cannot_run_is_told_and_stops_nobody(
    world: World, lack: str, caplog: pytest.LogCaptureFixture
) -> None:
    if lack == "operator":
        world.registry = world.registry.with_identity(enrol(world.people.operator))
    if lack == "worker":
        world.registry = world.registry.with_identity(enrol(world.people.workers[MAINTENANCE]))
    broken = msgspec.structs.replace(WEEKLY, name="secret-name")
    if lack == "vault":
        broken = msgspec.structs.replace(broken, vault="documnets")
    nightly = Schedule("nightly", "documents", ("/a",), "0 5 * * *")
    with caplog.at_level(logging.WARNING):
        for at in (START, SLOT, SLOT + 5000):
            world.scheduler(retention=(broken,), schedules=(nightly,)).tick(at)
    assert caplog.text.count("retention number 1 cannot run: ") == 1
    assert "secret-name" not in caplog.text
    assert not wakes(world, FORGET)
    assert bool(asked_by(world, "nightly")) == (lack != "operator")
    if lack == "vault":
        found = {each["name"]: each for each in world.ask("schedules", retention=(broken, WEEKLY))}
        assert found["secret-name"]["problem"] == "there is no such vault"
        assert found["keep"]["problem"] is None


def test_a_prune_that_is_refused_is_a_failed_job_for_people_to_see(world: World) -> None:
    world.ledger.forget_jobs(NOW)
    tick(world, WEEKLY, START, SLOT)
    end(world, WEEKLY, FORGET, SLOT + 1000)
    tick(world, WEEKLY, SLOT + 5000, SLOT + 10_000)
    assert not wakes(world, PRUNE)
    assert (newest(world, PRUNE).state, newest(world, PRUNE).code) == (FAILED, "too-soon")
    assert asked_by(world) == [(FORGET, SLOT), (PRUNE, None)], "and it is not asked for again and again"
    (line,) = world.ask("schedules", retention=(WEEKLY,))
    assert (line["kind"], line["prune"], line["last"], line["last_state"]) == ("forget", True, SLOT, DONE)
    assert (line["prune_state"], line["prune_code"]) == (FAILED, "too-soon")
    status = msgspec.json.decode(world.publisher.status)
    assert status["scheduled"] == {"forget": {"done": 1}, "prune": {"failed": 1}}
    verdict = world.body(jobs.STATUS, job=newest(world, PRUNE).id)
    world.scheduler().submit(world.sign(verdict), NOW)
    assert "know for long enough" in world.verdicts(newest(world, PRUNE).id)[-1].message
    tick(world, WEEKLY, SLOT + WEEK)
    end(world, WEEKLY, FORGET, SLOT + WEEK + TICKET_LIFETIME_MS)
    assert newest(world, PRUNE).state == "queued"


@pytest.mark.parametrize("lack", ["vault", "worker"])
def test_a_prune_that_nobody_can_do_any_more_is_a_failed_job(world: World, lack: str) -> None:
    tick(world, WEEKLY, START, SLOT)
    job = newest(world, FORGET)
    text = world.report(job.id, "done", role=MAINTENANCE, at_ms=SLOT + 1)
    world.scheduler().report(text, SLOT + 1)
    if lack == "vault":
        world.registry = msgspec.structs.replace(world.registry, vaults=())
    else:
        world.registry = world.registry.with_identity(enrol(world.people.workers[MAINTENANCE]))
    tick(world, WEEKLY, SLOT + 5000, SLOT + 10_000)
    assert newest(world, PRUNE).code == {"vault": "vault-unknown", "worker": "no-worker"}[lack]
    assert len(asked_by(world)) == 2


def test_a_failed_forget_is_seen_with_its_code(world: World) -> None:
    tick(world, WEEKLY, START, SLOT)
    end(world, WEEKLY, FORGET, SLOT + 1, "failed")
    (line,) = world.ask("schedules", retention=(WEEKLY,))
    assert (line["last_state"], line["last_code"], line["prune_state"]) == (FAILED, "x", None)


def test_what_was_forgotten_before_pruning_was_wanted_is_not_pruned_at_once(world: World) -> None:
    before = msgspec.structs.replace(WEEKLY, prune=False)
    tick(world, before, START, SLOT)
    end(world, before, FORGET, SLOT + 1)
    tick(world, WEEKLY, SLOT + DAY, SLOT + DAY + 5000)
    assert not wakes(world, PRUNE)


def test_a_retention_makes_up_for_no_slot_of_a_schedule_that_had_its_name(world: World) -> None:
    backup = Schedule("keep", "documents", ("/a",), WEEKLY.cron)
    world.scheduler(schedules=(backup,)).tick(START)
    tick(world, WEEKLY, SLOT + HOUR, SLOT + HOUR + 5000)
    assert not asked_by(world)


@pytest.mark.parametrize(
    "edit",
    [
        {"vault": "pictures"},
        {"hosts": ("web1",)},
        {"tags": ("nightly",)},
        {"paths": ("/srv",)},
        {"keep_daily": 1},
        {"keep_monthly": 0},
        {"keep_last": 1},
        {"keep_within": "1d"},
        {"keep_tags": ("a",)},
        {"max_unused": 50.0},
        {"catch_up": True},
    ],
    ids=lambda edit: next(iter(edit)),
)
def test_a_missed_slot_is_not_made_up_for_by_what_a_retention_was_edited_to(
    world: World, edit: dict[str, object]
) -> None:
    written = msgspec.structs.replace(WEEKLY, catch_up="catch_up" not in edit)
    edited = msgspec.structs.replace(written, **edit)
    tick(world, written, START)
    tick(world, edited, SLOT + DAY, SLOT + DAY + 5000)
    assert not asked_by(world)
    tick(world, edited, SLOT + WEEK)
    assert asked_by(world) == [(FORGET, SLOT + WEEK)], "from then on it counts"


def test_forget_and_prune_go_on_in_the_next_stack(world: World) -> None:
    tick(world, WEEKLY, START, SLOT)
    forgot, late = newest(world, FORGET), SLOT + HOUR
    world.scheduler(retention=(WEEKLY,)).stop(SLOT + 1)
    following = world.scheduler(retention=(WEEKLY,), stack=b"n" * 16)
    following.start(late)
    following.tick(late)
    assert wakes(world, FORGET)[-1].ticket.fence == 2
    text = world.report(forgot.id, "done", role=MAINTENANCE, fence=2, at_ms=late)
    following.report(text, late)
    assert newest(world, PRUNE).stack != STACK


def test_one_commands_stack_forgets_nothing(world: World) -> None:
    tick(world, WEEKLY, START)
    world.scheduler(retention=(WEEKLY,), one_shot=True).tick(SLOT)
    assert not world.publisher.wakes
    tick(world, WEEKLY, SLOT + DAY)
    end_text = world.report(newest(world, FORGET).id, "done", role=MAINTENANCE, at_ms=SLOT + DAY)
    world.scheduler(retention=(WEEKLY,), one_shot=True).report(end_text, SLOT + DAY)
    assert not wakes(world, PRUNE)


def test_it_waits_for_a_prune_by_hand_as_any_forget_does(world: World) -> None:
    tick(world, WEEKLY, START, SLOT - 1)
    world.submit(PRUNE, sent_ms=SLOT - 1)
    tick(world, WEEKLY, SLOT)
    assert not wakes(world, FORGET)
    end(world, WEEKLY, PRUNE, SLOT + 1000)
    tick(world, WEEKLY, SLOT + 5000)
    assert len(wakes(world, FORGET)) == 1


@pytest.mark.parametrize(
    ("cron", "day", "slot"),
    [
        ("30 2 * * *", "2026-03-29", "2026-03-29T03:00:00+02:00"),
        ("30 2 * * *", "2026-10-25", "2026-10-25T02:30:00+02:00"),
    ],
)
def test_a_slot_that_the_clock_skips_or_shows_twice_comes_once(
    world: World, cron: str, day: str, slot: str
) -> None:
    policy = msgspec.structs.replace(WEEKLY, cron=cron, timezone="Europe/Berlin", prune=False)
    begin = int(datetime.fromisoformat(f"{day}T00:00:00+01:00").timestamp() * 1000)
    for at in range(begin, begin + 12 * HOUR, 10 * MINUTE):
        tick(world, policy, at)
        if (job := world.ledger.latest(FORGET, VAULT)) is not None and not job.over:
            end(world, policy, FORGET, at)
    assert asked_by(world) == [(FORGET, int(datetime.fromisoformat(slot).timestamp() * 1000))]
