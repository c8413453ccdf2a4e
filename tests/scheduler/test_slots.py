from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from config.schedules import Schedule
from scheduler.slots import newest_slot, next_slot

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def schedule(cron: str, zone: str = "UTC") -> Schedule:
    return Schedule("nightly", "documents", ("/home/a/",), cron, zone)


def ms(text: str) -> int:
    """ISO text with an offset, as ms since 1970."""
    return int(datetime.fromisoformat(text).timestamp() * 1000)


START = ms("2026-05-01T12:00:00+00:00")


def test_time_zones_have_their_own_night() -> None:
    for zone, utc in (("Asia/Tokyo", "18:00"), ("America/New_York", "07:00"), ("UTC", "03:00")):
        found = next_slot(schedule("0 3 * * *", zone), START)
        assert found is not None
        assert datetime.fromtimestamp(found / 1000, UTC).strftime("%H:%M") == utc


@pytest.mark.parametrize(
    ("cron", "expected"),
    [("0 0 29 2 *", "2024-02-29T00:00:00+00:00"), ("* * * * *", "2026-05-01T12:00:00+00:00")],
)
def test_rare_and_frequent_slots_are_found_quickly(cron: str, expected: str) -> None:
    assert newest_slot(schedule(cron), ms("2020-01-01T00:00:00+00:00"), START) == ms(expected)


@settings(max_examples=60, deadline=None)
@given(
    cron=st.sampled_from(
        [
            "*/15 * * * *",
            "30 2 * * *",
            "0 */2 * * *",
            "15 1,2,3 * * *",
            "0 3 * * 0",
            "*/20 2 * * *",
            "0 0 1 * *",
        ]
    ),
    zone=st.sampled_from(
        ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]
    ),
    days=st.integers(0, 720),
    minute=st.integers(0, 1439),
    back=st.integers(1, 60 * 24 * 40),
)
def test_the_newest_slot_is_the_last_that_counting_forward_finds(
    cron: str, zone: str, days: int, minute: int, back: int
) -> None:
    now = ms("2026-01-01T00:00:00+00:00") + days * DAY + minute * MINUTE
    after = now - back * MINUTE
    start = datetime.fromtimestamp(after / 1000, UTC) - timedelta(hours=4)
    all_slots = (int(slot.timestamp() * 1000) for slot in CronSim(cron, start.astimezone(ZoneInfo(zone))))
    expected = [slot for slot in takewhile(lambda slot: slot <= now, all_slots) if slot > after]
    assert newest_slot(schedule(cron, zone), after, now) == max(expected, default=None)


def test_a_slot_of_the_hour_that_comes_twice_is_not_found_again_in_its_repetition() -> None:
    plan = schedule("30 2 * * *", "Europe/Berlin")
    second_two_ten, three = ms("2026-10-25T02:10:00+01:00"), ms("2026-10-25T03:00:00+01:00")
    assert newest_slot(plan, second_two_ten, three) is None
    assert newest_slot(plan, second_two_ten - HOUR, three) == ms("2026-10-25T02:30:00+02:00")
