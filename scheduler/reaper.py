"""The reaper: what the broker, a worker or a dead scheduler has lost is driven again from the ledger."""

from crypto.registry import Registry
from scheduler import dispatch, lifecycle, verdicts
from scheduler.kinds import KINDS, kinds_of_role
from scheduler.lifecycle import LEASE_MS, WAITING, Job
from scheduler.parts import Parts


def reap(parts: Parts, registry: Registry, now_ms: int) -> list[Job]:
    """Deal with every job of this stack whose lease is over; returns those that were claimed or ended.

    Raises:
        BrokerUnreachable, LedgerError: the rest is dealt with at the next tick.
    """
    touched = []
    for due in parts.ledger.due(parts.stack, now_ms):
        job = _judge(parts, due, now_ms)
        if job is None:
            continue
        touched.append(job)
        if job.over:
            verdicts.announce(parts, job)
        else:
            dispatch.dispatch(parts, registry, job, now_ms)
    return touched


def _judge(parts: Parts, due: Job, now_ms: int) -> Job | None:
    """Decide on one job; None when there is nothing to do, because another scheduler was faster or it was put off."""
    with parts.ledger.transaction():
        job = parts.ledger.get(due.id)
        if job is None or job.over or job.lease_until_ms > now_ms:
            return None
        kinds = kinds_of_role(KINDS[job.kind].role)
        job = lifecycle.lease_over(job, now_ms, parts.ledger.others(job, kinds, now_ms - LEASE_MS))
        if job.over:
            dispatch.store_end(parts, job)
            return job
        parts.ledger.update(job)
    return job if job.state == WAITING else None
