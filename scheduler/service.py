"""The scheduler as one object of plain methods: what the Celery tasks call, and what tests call without Celery."""

import logging
from collections.abc import Callable

import msgspec

from crypto.job import BACKUP, FORGET
from scheduler import locks, prunes, reaper, reports, retention, schedules, stacks, submit, tidy
from scheduler.errors import Dropped
from scheduler.lifecycle import DONE
from scheduler.parts import Parts
from workers.lists import BrokerUnreachable

logger = logging.getLogger(__name__)

KEEP_JOBS_MS = 400 * 24 * 60 * 60 * 1000
"""Ended jobs stay in the ledger for so long."""
HOUSEKEEPING_MS = 60 * 60 * 1000


class Counters(msgspec.Struct):
    """What this process has seen."""

    requests: int = 0
    requests_dropped: int = 0
    reports: int = 0
    reports_dropped: int = 0
    ticks: int = 0


class Scheduler:
    """A scheduler. One thread of one process; several processes may work on one ledger.

    Args:
        parts: what it works with.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._counters = Counters()
        self._housekeeping_ms = 0

    def start(self, now_ms: int) -> None:
        """See to what earlier stacks have left, before the first message is taken.

        Raises:
            LedgerError: the ledger cannot be used.
        """
        stacks.sign_on(self._parts, now_ms)

    def stop(self, now_ms: int) -> None:
        """End the jobs that end with this stack.

        Raises:
            LedgerError: the next stack does it instead.
        """
        stacks.sign_off(self._parts, now_ms)

    def submit(self, text: object, now_ms: int) -> None:
        """Take a request; whatever is not an operator's is logged, counted and dropped.

        Raises:
            LedgerError, ConfigError, Malformed: ledger or registry cannot be used; nothing happened.
        """
        self._counters.requests += 1
        try:
            submit.submit(self._parts, text, now_ms)
        except Dropped as why:
            self._counters.requests_dropped += 1
            logger.warning("dropped a request: %s", why.message)

    def report(self, text: object, now_ms: int) -> None:
        """Take a worker's report; whatever is not one, or comes too late, is logged, counted and dropped.

        Raises:
            LedgerError, ConfigError, Malformed: ledger or registry cannot be used; nothing happened.
        """
        self._counters.reports += 1
        try:
            job = reports.report(self._parts, text, now_ms)
        except Dropped as why:
            self._counters.reports_dropped += 1
            logger.warning("dropped a report: %s", why.message)
            return
        except BrokerUnreachable as error:
            logger.warning("a job's last step waits for its next attempt: %s", error.message)
            return
        if job.state == DONE and job.kind == BACKUP:
            self._while_reachable(lambda: tidy.tidy(self._parts, self._parts.registry(), now_ms))
        if job.state == DONE and job.kind == FORGET and not self._parts.one_shot:
            self._while_reachable(lambda: retention.prune_due(self._parts, self._parts.registry(), now_ms))
        if job.over or job.barrier > 0:
            self._while_reachable(lambda: prunes.advance(self._parts, self._parts.registry(), now_ms))

    def tick(self, now_ms: int) -> None:
        """Do what time has made due. Beat says when to look, and nothing more: a tick too many changes nothing.

        Raises:
            LedgerError, ConfigError, Malformed: ledger or registry cannot be used; the next tick does the rest.
        """
        self._counters.ticks += 1
        stacks.sign_on(self._parts, now_ms)
        self._while_reachable(lambda: self._drive(now_ms))
        if now_ms - self._housekeeping_ms >= HOUSEKEEPING_MS:
            self._housekeeping_ms = now_ms
            with self._parts.ledger.transaction():
                self._parts.ledger.forget_jobs(now_ms - KEEP_JOBS_MS)

    def status(self) -> bytes:
        """The counters and the number of jobs in each state, as JSON; `scheduled`: of those that a schedule asked for.

        Numbers alone: whoever can look into the broker reads them.
        """
        ledger = self._parts.ledger
        return msgspec.json.encode(
            msgspec.to_builtins(self._counters)
            | {"jobs": ledger.counts(), "scheduled": ledger.scheduled_counts()}
        )

    def _drive(self, now_ms: int) -> None:
        registry = self._parts.registry()
        prunes.advance(self._parts, registry, now_ms)
        reaper.reap(self._parts, registry, now_ms)
        if not self._parts.one_shot:
            # What follows a run comes before the next one.
            retention.prune_due(self._parts, registry, now_ms)
            schedules.dispatch_due(self._parts, registry, now_ms)
            locks.extend_due(self._parts, registry, now_ms)
        tidy.tidy(self._parts, registry, now_ms)
        self._parts.publisher.publish_status(self.status())

    def _while_reachable(self, work: Callable[[], object]) -> None:
        """Do what needs the broker; without it, what was claimed stays in the ledger for a later tick."""
        try:
            work()
        except BrokerUnreachable as error:
            logger.warning("the rest waits for the next tick: %s", error.message)
