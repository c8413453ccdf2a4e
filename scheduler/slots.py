"""Slots: when what recurs is due. Every slot of a schedule, and of a retention, becomes at most one job.

The slots are what Debian's cron would do (`cronsim`): a time that the clock skips in spring runs when the gap ends, one
that it shows twice in autumn runs once, unless the minutes or hours are a star.
"""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from cronsim import CronSim

from config.schedules import Recurring, Retention
from scheduler.ledger import Mark
from scheduler.parts import Parts

MISSED_MS: Final = 60 * 1000
"""A slot that is noticed later than this was missed."""
CLOCK_STEP_MS: Final = 60 * 60 * 1000
"""A mark so far in the future was set by a clock that was wrong."""

# Where the newest slot is looked for, the nearest first: every minute or once in four years, it is found quickly.
_WINDOWS = tuple(timedelta(**window) for window in ({"hours": 1}, {"days": 1}, {"days": 32}, {"days": 1500}))


def due_slot(parts: Parts, recurring: Recurring, now_ms: int) -> int | None:
    """The slot of a schedule that is to run now, ms since 1970; None when there is none.

    1. A schedule that was not seen before, or with another rule, begins now.
    2. Nothing is due while a job of it is unfinished: afterwards, what was missed meanwhile is made up for once.
    3. Of all slots since the last one that was dealt with, the newest counts.
    4. One that was missed counts only if the schedule catches up.
    """
    mark = parts.ledger.mark(recurring.name)
    if mark is None or mark.rule != rule(recurring) or mark.mark_ms > now_ms + CLOCK_STEP_MS:  # 1
        set_mark(parts, recurring, now_ms)
        return None
    if parts.ledger.is_running(recurring.name):  # 2
        return None
    slot = newest_slot(recurring, mark.mark_ms, now_ms)  # 3
    if slot is not None and now_ms - slot > MISSED_MS and not recurring.catch_up:  # 4
        set_mark(parts, recurring, slot)
        return None
    return slot


def newest_slot(recurring: Recurring, after_ms: int, now_ms: int) -> int | None:
    """The newest slot later than `after_ms` and not later than `now_ms`, ms since 1970; None when there is none."""
    for window in _WINDOWS:
        start = max(after_ms, now_ms - int(window.total_seconds() * 1000))
        slots = takewhile(lambda slot: slot <= now_ms, _slots(recurring, start))
        newest = max((slot for slot in slots if slot > after_ms), default=None)
        if newest is not None or start == after_ms:
            return newest
    return None


def next_slot(recurring: Recurring, now_ms: int) -> int | None:
    """The first slot later than `now_ms`, ms since 1970; None when there will be none."""
    return next((slot for slot in _slots(recurring, now_ms) if slot > now_ms), None)


def _slots(recurring: Recurring, from_ms: int) -> Iterator[int]:
    """The slots of a schedule from about `from_ms` on, in order; where clocks are set back, one may come before."""
    start = datetime.fromtimestamp(from_ms / 1000, UTC).astimezone(ZoneInfo(recurring.timezone))
    for slot in CronSim(recurring.cron, start):
        yield int(slot.timestamp() * 1000)


def rule(recurring: Recurring) -> str:
    """When this changes, it begins anew: no slot of what it was before is made up for by what it is now.

    Of a retention that is the whole table: what nobody wanted at the slot must not be forgotten on account of it. Of a
    schedule it is when its slots are, as a backup too many does no harm.
    """
    words = [recurring.cron, recurring.timezone]
    if isinstance(recurring, Retention):
        words += ["forget", hashlib.sha256(msgspec.json.encode(recurring, order="sorted")).hexdigest()]
    return " ".join(words)


def set_mark(parts: Parts, recurring: Recurring, mark_ms: int) -> None:
    """Remember that all slots up to then are dealt with."""
    with parts.ledger.transaction():
        parts.ledger.set_mark(recurring.name, Mark(rule(recurring), mark_ms))
