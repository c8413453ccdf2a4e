"""Schedules: which slot is due, and the job that it becomes. Every slot of a schedule becomes at most one job.

The slots are what Debian's cron would do (`cronsim`): a time that the clock skips in spring runs when the gap ends, one
that it shows twice in autumn runs once, unless the minutes or hours are a star.
"""

import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim

from config.settings import Schedule
from crypto.job import BACKUP, BackupSpec
from crypto.registry import OPERATOR, Registry
from scheduler import dispatch
from scheduler.errors import Refused, SchedulerError
from scheduler.ledger import Mark
from scheduler.lifecycle import CLAIM_MS, TICKET_LIFETIME_MS, Job
from scheduler.parts import Parts

logger = logging.getLogger(__name__)

MISSED_MS: Final = 60 * 1000
"""A slot that is noticed later than this was missed."""
CLOCK_STEP_MS: Final = 60 * 60 * 1000
"""A mark so far in the future was set by a clock that was wrong."""

# Where the newest slot is looked for, the nearest first: every minute or once in four years, it is found quickly.
_WINDOWS = tuple(timedelta(**window) for window in ({"hours": 1}, {"days": 1}, {"days": 32}, {"days": 1500}))


class NoSuchVault(SchedulerError):
    """A schedule cannot run: its vault, or somebody to own its job, is not registered."""


def dispatch_due(parts: Parts, registry: Registry, now_ms: int) -> list[Job]:
    """Publish a job for each schedule that has one due; returns what was published or tried.

    Raises:
        BrokerUnreachable, LedgerError: what is in the ledger is left to the reaper.
    """
    jobs = []
    for number, schedule in enumerate(parts.schedules, 1):
        slot = due_slot(parts, schedule, now_ms)
        if slot is None:
            continue
        try:
            job = _new_job(parts, registry, schedule, slot, now_ms)
        except (NoSuchVault, Refused) as error:
            # By number: a schedule's name may say something about its owner.
            logger.warning("schedule number %d cannot run: %s", number, error.message)
            _set_mark(parts, schedule, slot)
            continue
        with parts.ledger.transaction():
            is_new = parts.ledger.insert(job)
            parts.ledger.set_mark(schedule.name, Mark(_rule(schedule), slot))
        if is_new:
            jobs.append(job)
    dispatch.dispatch_all(parts, registry, jobs, now_ms)
    return jobs


def due_slot(parts: Parts, schedule: Schedule, now_ms: int) -> int | None:
    """The slot of a schedule that is to run now, ms since 1970; None when there is none.

    1. A schedule that was not seen before, or with another rule, begins now.
    2. Nothing is due while its last job is unfinished: afterwards, what was missed meanwhile is made up for once.
    3. Of all slots since the last one that was dealt with, the newest counts.
    4. One that was missed counts only if the schedule catches up.
    """
    mark = parts.ledger.mark(schedule.name)
    if mark is None or mark.rule != _rule(schedule) or mark.mark_ms > now_ms + CLOCK_STEP_MS:  # 1
        _set_mark(parts, schedule, now_ms)
        return None
    last = parts.ledger.last_of(schedule.name)
    if last is not None and not last.over:  # 2
        return None
    slot = newest_slot(schedule, mark.mark_ms, now_ms)  # 3
    if slot is not None and now_ms - slot > MISSED_MS and not schedule.catch_up:  # 4
        _set_mark(parts, schedule, slot)
        return None
    return slot


def newest_slot(schedule: Schedule, after_ms: int, now_ms: int) -> int | None:
    """The newest slot later than `after_ms` and not later than `now_ms`, ms since 1970; None when there is none."""
    for window in _WINDOWS:
        start = max(after_ms, now_ms - int(window.total_seconds() * 1000))
        slots = takewhile(lambda slot: slot <= now_ms, _slots(schedule, start))
        newest = max((slot for slot in slots if slot > after_ms), default=None)
        if newest is not None or start == after_ms:
            return newest
    return None


def next_slot(schedule: Schedule, now_ms: int) -> int | None:
    """The first slot later than `now_ms`, ms since 1970; None when there will be none."""
    return next((slot for slot in _slots(schedule, now_ms) if slot > now_ms), None)


def _slots(schedule: Schedule, from_ms: int) -> Iterator[int]:
    """The slots of a schedule from about `from_ms` on, in order; where clocks are set back, one may come before."""
    start = datetime.fromtimestamp(from_ms / 1000, UTC).astimezone(ZoneInfo(schedule.timezone))
    for slot in CronSim(schedule.cron, start):
        yield int(slot.timestamp() * 1000)


def _new_job(parts: Parts, registry: Registry, schedule: Schedule, slot: int, now_ms: int) -> Job:
    """The job of one slot; the scheduler asks for it itself.

    Raises:
        NoSuchVault: its vault is not registered, or has no operator whom its notes could be sealed to.
        Refused: nobody is enrolled to do it.
    """
    vault = next((each for each in registry.vaults if each.name == schedule.vault), None)
    if vault is None:
        raise NoSuchVault("its vault is not registered", remedy="correct the schedule's vault")
    owners = registry.holders(OPERATOR, vault.id)
    if not owners:
        raise NoSuchVault("no operator is enrolled for its vault", remedy="enrol one")
    job_id = os.urandom(16)
    host = schedule.host or vault.host
    spec = BackupSpec(
        repo=vault.repo,
        requester=owners[0].hpke_public,
        paths=tuple(_path(path) for path in schedule.paths),
        excludes=schedule.excludes,
        tags=schedule.tags,
        hostname=host or parts.hostname,
        host=host,
    )
    return Job(
        id=job_id,
        kind=BACKUP,
        vault=vault.id,
        operator=parts.identity.id,
        detached=True,
        stack=parts.stack,
        schedule=schedule.name,
        slot_ms=slot,
        created_ms=now_ms,
        sealed_spec=dispatch.seal_for_workers(registry, BACKUP, vault.id, job_id, spec, host),
        lease_until_ms=now_ms + CLAIM_MS,
        ticket_until_ms=now_ms + TICKET_LIFETIME_MS,
        host=host,
    )


def _path(text: str) -> bytes:
    """A path as a spec has it; the URI of a bucket stays as it is."""
    return os.path.normpath(os.fsencode(text)) if text.startswith("/") else os.fsencode(text)


def _set_mark(parts: Parts, schedule: Schedule, mark_ms: int) -> None:
    with parts.ledger.transaction():
        parts.ledger.set_mark(schedule.name, Mark(_rule(schedule), mark_ms))


def _rule(schedule: Schedule) -> str:
    return f"{schedule.cron} {schedule.timezone}"
