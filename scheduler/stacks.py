"""Stacks: which broker a job waits on. A job of a stack that is gone waits for ever, unless somebody sees to it.

An embedded broker dies with its stack, and several one-shot stacks may run on one ledger, so each stack touches only
its own jobs and those of stacks that are gone. All schedulers on one external broker are one stack.
"""

import hashlib
import logging
from typing import Final
from urllib.parse import urlsplit

from crypto.job import EXTEND, TIDY
from scheduler import dispatch, lifecycle, verdicts
from scheduler.lifecycle import CANCELLED, FAILED, INTERRUPTED, Job
from scheduler.parts import Parts

logger = logging.getLogger(__name__)

SHARED: Final = b"external broker\0"
GONE_MS: Final = 30 * 1000
"""A stack whose schedulers gave no sign of life for so long is gone."""


def stack_id(broker_url: str, external: bool) -> bytes:
    """The id of a stack, 16 bytes: the same for every scheduler of it, also for one that was started again.

    Args:
        broker_url: of this scheduler; that of an embedded broker names a socket in a folder made for this run.
        external: whether the broker is not ours.
    """
    return SHARED if external else hashlib.sha256(urlsplit(broker_url).path.encode()).digest()[:16]


def sign_on(parts: Parts, now_ms: int) -> None:
    """Say that this stack is alive, and see to the jobs of those that are not.

    Their clients are gone: jobs that end with their client are interrupted. The others go on here, unless this stack
    is about to end as well.

    Raises:
        LedgerError: nothing changed.
    """
    interrupted: list[Job] = []
    with parts.ledger.transaction():
        parts.ledger.beat(parts.stack, now_ms)
        parts.ledger.forget_stacks(now_ms - GONE_MS)
        for job in parts.ledger.orphans(parts.stack):
            if not job.detached:
                interrupted.append(_interrupt(parts, job, now_ms))
            elif not parts.one_shot:
                parts.ledger.update(lifecycle.adopted(job, parts.stack, now_ms))
    for job in interrupted:
        logger.info("job %s of a stack that is gone: interrupted", job.id.hex())
        verdicts.end_tickets(parts, job)


def sign_off(parts: Parts, now_ms: int) -> None:
    """Say that this stack ends, together with its broker and its clients. Not for an external broker: it stays.

    Raises:
        LedgerError: nothing changed; the next stack does the same later.
    """
    if parts.stack == SHARED:
        return
    with parts.ledger.transaction():
        interrupted = [
            _interrupt(parts, job, now_ms) for job in parts.ledger.unfinished(parts.stack) if not job.detached
        ]
        parts.ledger.leave(parts.stack)
    for job in interrupted:
        verdicts.announce(parts, job)


def _interrupt(parts: Parts, job: Job, now_ms: int) -> Job:
    # Nobody misses one of the scheduler's own jobs: the next stack makes another.
    own = job.kind == TIDY or (job.kind == EXTEND and job.operator == parts.identity.id)
    state = CANCELLED if own else FAILED
    job = lifecycle.ended(job, state, now_ms, code=INTERRUPTED)
    dispatch.store_end(parts, job)
    return job
