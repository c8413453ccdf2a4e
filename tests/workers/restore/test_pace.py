"""How far a worker runs ahead, by what scheduler and requester say at a real broker, and whose word counts."""

from typing import Any

import msgspec
import pytest

from config.queues import HERE, LEFT, over_key, taken_key
from crypto import canonical, notes
from crypto.identity import Identity
from crypto.registry import SCHEDULER
from crypto.ticket import end
from tests.client.deliveries import enrolled
from tests.workers.restore.conftest import Reading
from workers.admission import Job, Stray
from workers.restore import pace as module
from workers.restore.pace import AHEAD, Pace, RequesterGone


def paced(reading: Reading, *, following: bool = True) -> tuple[Pace, Job]:
    session = reading.session(reading.restore(following=following))
    session.open_delivery()
    return Pace(session, reading.reporter(session.job)), session.job


def say(reading: Reading, job: Job, **said: bytes) -> None:
    words: dict[Any, Any] = {HERE: b"1", **said}
    reading.server.admin().hset(taken_key(job.id), mapping=words)


def over(reading: Reading, job: Job, by: Identity, of: bytes = b"") -> None:
    text = canonical.to_text(canonical.encode(end(by, of or job.id)))
    reading.server.admin().set(over_key(job.id), text)


def deliver(pace: Pace, count: int) -> None:
    for number in range(count):
        pace.delivered(notes.Parcel(0, number, 1))


def test_there_is_room_for_a_few_and_for_more_once_some_are_taken(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace, job = paced(reading)
    say(reading, job)
    deliver(pace, AHEAD - 1)
    pace.make_room()
    pace.delivered(notes.Parcel(0, AHEAD - 1, 1))
    looks: list[float] = []

    def take_one(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            say(reading, job, **{"0": b"1"})

    monkeypatch.setattr("workers.restore.pace.time.sleep", take_one)
    pace.make_room()
    assert len(looks) == 3


def test_what_is_taken_is_counted_for_the_next_task_of_the_job_and_not_for_another_job(
    reading: Reading,
) -> None:
    pace, job = paced(reading)
    deliver(pace, 2)
    assert reading.own.ahead is not None
    assert len(reading.own.ahead.parcels) == 2
    paced(reading)
    assert (reading.own.ahead.job != job.id, len(reading.own.ahead.parcels)) == (True, 0)


def test_who_does_not_follow_is_not_waited_for(reading: Reading) -> None:
    pace, _ = paced(reading, following=False)
    deliver(pace, 3 * AHEAD)
    pace.make_room()


def test_only_the_scheduler_ends_a_job_and_only_this_one(reading: Reading) -> None:
    pace, job = paced(reading)
    say(reading, job)
    over(reading, job, Identity.generate("scheduler"))
    pace.require_wanted()
    over(reading, job, reading.identity)
    pace.require_wanted()
    over(reading, job, reading.scheduler, b"?" * 16)
    pace.require_wanted()
    reading.server.admin().set(over_key(job.id), b"\xff noise")
    pace.require_wanted()
    over(reading, job, reading.scheduler)
    with pytest.raises(Stray, match="over"):
        pace.require_wanted()


def test_a_scheduler_of_another_vault_does_not_end_it(reading: Reading) -> None:
    pace, job = paced(reading)
    say(reading, job)
    narrow = Identity.generate("narrow")
    for vaults in ((b"W" * 16,), (b"W" * 16, job.ticket.vault)):
        entry = msgspec.structs.replace(enrolled(narrow, SCHEDULER), vaults=vaults)
        reading.home.registry_file.write_bytes(reading.registry.with_identity(entry).encode())
        over(reading, job, narrow)
        if job.ticket.vault not in vaults:
            pace.require_wanted()
    with pytest.raises(Stray, match="over"):
        pace.require_wanted()


def test_who_says_that_it_leaves_has_left(reading: Reading) -> None:
    pace, job = paced(reading)
    say(reading, job, **{HERE: LEFT})
    with pytest.raises(RequesterGone) as gone:
        pace.make_room()
    assert gone.value.remedy
    pace, job = paced(reading, following=False)
    say(reading, job, **{HERE: LEFT})
    pace.make_room()


def test_who_has_said_nothing_for_long_has_left(reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ABSENCE_S", 0.05)
    pace, _ = paced(reading)
    pace.require_wanted()
    with pytest.raises(RequesterGone):
        pace.make_room()


def test_who_takes_nothing_is_told_again_what_there_is(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REMIND_S", 0.0)
    pace, job = paced(reading)
    say(reading, job)
    deliver(pace, AHEAD)
    looks: list[float] = []

    def leave(seconds: float) -> None:
        looks.append(seconds)
        say(reading, job, **{HERE: LEFT})

    monkeypatch.setattr("workers.restore.pace.time.sleep", leave)
    with pytest.raises(RequesterGone):
        pace.make_room()
    assert reading.notes(job) == 2 * [notes.Parcel(0, number, 1) for number in range(AHEAD)]
