"""Prunes: a mark is made at once, and what was marked is removed when no running job can rely on it any more.

The scheduler knows who is running, by the ledger and its leases, so it guesses with no time window. A prune that waits
is a row of the ledger: it goes on when its client, its scheduler or the broker was gone meanwhile.
"""

import logging
from typing import Final

import msgspec

from config.queues import SWEEP
from crypto import job as jobs
from crypto.errors import OutOfScope
from crypto.job import BACKUP, INIT, PruneSpec, SweepSpec
from crypto.registry import Registry
from scheduler import dispatch, lifecycle, verdicts
from scheduler.errors import Refused
from scheduler.ledger import Ledger
from scheduler.lifecycle import DONE, FAILED, TICKET_LIFETIME_MS, Job
from scheduler.parts import Parts
from scheduler.turns import may_sweep, waits_in_vain

logger = logging.getLogger(__name__)

LATE_MS: Final = 2 * TICKET_LIFETIME_MS
"""A worker of a job that ended longer ago commits nothing: before each request to the store it looks whether its ticket
has expired (`workers/backup/session.py`), which was issued before the end. Twice that time, for clocks that differ."""
MOST_ENDED: Final = 4000
"""How many of them one spec names; with more there is no sweep, as those left out could commit what it removes."""


def require_known(ledger: Ledger, vault: bytes, now_ms: int) -> None:
    """Refuse to prune while a sweep could not be told of every job of the vault that may be at work.

    1. The ledger knows them all: it was there when the vault was made, or for longer than a ticket lives.
    2. No more have ended lately than one spec names.

    Raises:
        Refused: one of both is not so.
    """
    oldest = ledger.oldest_ms(vault)  # 1
    init = ledger.latest(INIT, vault)
    seen = init is not None and init.state == DONE
    if not seen and (oldest is None or now_ms - oldest < TICKET_LIFETIME_MS):
        message, remedy = verdicts.TOO_SOON_WORDS
        raise Refused(verdicts.TOO_SOON, message, remedy=remedy)
    _ended_lately(ledger, vault, now_ms)  # 2


def _ended_lately(ledger: Ledger, vault: bytes, now_ms: int) -> tuple[bytes, ...]:
    ended = ledger.ended_since(BACKUP, vault, now_ms - LATE_MS, MOST_ENDED + 1)
    if len(ended) > MOST_ENDED:
        message, remedy = verdicts.TOO_MANY_WORDS
        raise Refused(verdicts.TOO_MANY, message, remedy=remedy)
    return tuple(ended)


def prepared(ledger: Ledger, vault: bytes, spec: PruneSpec) -> PruneSpec:
    """What was asked for, with what only the scheduler knows."""
    running = tuple(each.id for each in ledger.unfinished_of(vault, (BACKUP,)))
    return msgspec.structs.replace(spec, running=running)


def advance(parts: Parts, registry: Registry, now_ms: int) -> list[Job]:
    """Have the prunes of this stack sweep that may, and keep the others waiting; returns those that sweep now.

    Raises:
        BrokerUnreachable: one was not woken; its lease runs out and it is driven again from its mark.
        LedgerError: the rest waits for the next tick.
    """
    woken = []
    for each in parts.ledger.parked(parts.stack):
        if parts.one_shot and waits_in_vain(parts.ledger, each):
            dispatch.end(parts, each, FAILED, now_ms, code=verdicts.NO_STACK)
            continue
        if (job := _judge(parts, each, now_ms)) is None:
            continue
        try:
            sealed = _sealed(parts, registry, job, now_ms)
        except (OutOfScope, Refused) as error:
            logger.warning("job %s cannot sweep: %s", job.id.hex(), error.message)
            dispatch.end(parts, job, FAILED, now_ms, code=_code(error))
            continue
        logger.info("job %s sweeps", job.id.hex())
        # Not stored: should it get lost, the job begins with its mark again, which is there.
        dispatch.wake(
            parts,
            registry,
            msgspec.structs.replace(job, sealed_spec=sealed),
            SWEEP,
            now_ms,
            lifecycle.BUSY_PATIENCE_MS,
        )
        woken.append(job)
    return woken


def _judge(parts: Parts, parked: Job, now_ms: int) -> Job | None:
    with parts.ledger.transaction():
        job = parts.ledger.get(parked.id)
        if job is None or job.over or job.barrier <= 0:
            return None
        ready = may_sweep(parts.ledger, job)
        job = lifecycle.sweeping(job, now_ms) if ready else lifecycle.parked(job, now_ms)
        parts.ledger.update(job)
    return job if ready else None


def _sealed(parts: Parts, registry: Registry, job: Job, now_ms: int) -> bytes:
    """The spec of a sweep, for the workers.

    Raises:
        OutOfScope, Refused: nobody can do it, or it cannot name all that it has to.
    """
    asked = jobs.open_spec(parts.identity, job.id, job.sealed_spec)
    ended = _ended_lately(parts.ledger, job.vault, now_ms)
    spec = SweepSpec(registry.vault(job.vault).repo, asked.requester, ended)
    return dispatch.seal_for_workers(registry, job.kind, job.vault, job.id, spec)


def _code(error: OutOfScope | Refused) -> str:
    known = isinstance(error, Refused) and error.code == verdicts.TOO_MANY
    return verdicts.TOO_MANY if known else verdicts.VAULT_UNKNOWN
