"""From a claimed job in the ledger to a wake-up in a queue: ticket, publish, remember."""

import logging
import os
from collections.abc import Sequence

from config.queues import FINALIZE
from crypto import canonical, ticket
from crypto.errors import OutOfScope
from crypto.job import MAX_SPEC, TIDY, PruneSpec, Spec, digest, seal_spec
from crypto.registry import SCHEDULER, Registry, VaultEntry
from crypto.signing import Signed
from crypto.ticket import TICKET_VERSION, Ticket
from scheduler import lifecycle, verdicts
from scheduler.errors import Refused
from scheduler.kinds import KINDS, kinds_of_role
from scheduler.lifecycle import FAILED, WAITING, Job
from scheduler.parts import Parts
from scheduler.turns import take_turn

logger = logging.getLogger(__name__)


def seal_for_workers(
    registry: Registry, kind: str, vault: bytes, job: bytes, spec: Spec, host: str = ""
) -> bytes:
    """Seal a spec to every identity that holds the kind's role for the vault, on `host` if there is one.

    Schedulers can open what they are to ask for again, in other words.

    Raises:
        Refused: there is none, or the spec is too large for them.
    """
    role = KINDS[kind].role
    holders = [each for each in registry.holders(role, vault) if each.host == host]
    if not holders:
        where = f" on the host {host}" if host else ""
        raise Refused(
            "no-worker",
            f"no identity is enrolled as {role} for this vault{where}",
            remedy=f"enrol a {role} worker{where}",
        )
    again = registry.holders(SCHEDULER, vault) if isinstance(spec, PruneSpec) else []
    sealed = seal_spec(spec, job, [*holders, *again])
    if len(sealed) > MAX_SPEC:
        raise Refused(
            "too-large", "the description of the job is too large", remedy="name fewer paths and patterns"
        )
    return sealed


def issue_ticket(parts: Parts, vault: VaultEntry, job: Job, more: tuple[str, ...] = ()) -> Signed:
    """A ticket for one attempt of a job, or for a step of it that may do `more` than the others."""
    kind = KINDS[job.kind]
    return ticket.issue(
        parts.identity,
        Ticket(
            version=TICKET_VERSION,
            jti=os.urandom(16),
            job=job.id,
            fence=job.fence,
            tenant=vault.tenant,
            vault=vault.id,
            role=kind.role,
            operations=(*kind.operations, *more),
            spec=digest(job.sealed_spec),
            not_before_ms=job.ticket_until_ms - lifecycle.TICKET_LIFETIME_MS,
            expires_ms=job.ticket_until_ms,
            max_unwraps=kind.max_unwraps,
        ),
    )


def dispatch(parts: Parts, registry: Registry, job: Job, now_ms: int) -> Job:
    """Publish a job that this scheduler has claimed and stored, if it is its turn; returns it as it is afterwards.

    Raises:
        BrokerUnreachable: it was not published; the reaper claims it again when its claim is over.
        LedgerError: it may have been published; the reaper then gives it another fence.
    """
    kind = KINDS[job.kind]
    try:
        vault = registry.vault(job.vault)
    except OutOfScope:
        return end(parts, job, FAILED, now_ms, code=verdicts.VAULT_UNKNOWN)
    if (waiting := take_turn(parts, job, now_ms)) is not None:
        return waiting
    patience = lifecycle.patience_ms(job, parts.ledger.others(job, kinds_of_role(kind.role)))
    _publish(parts, vault, job, kind.task, patience)
    with parts.ledger.transaction():
        current = parts.ledger.get(job.id)
        # Its worker may have reported already, or another scheduler claimed it.
        if current is None or current.state != WAITING or current.fence != job.fence:
            return current or job
        current = lifecycle.published(current, now_ms, patience)
        parts.ledger.update(current)
    logger.info("job %s published: %s, fence %d", job.id.hex(), kind.task, job.fence)
    return current


def commit(parts: Parts, registry: Registry, job: Job, now_ms: int, patience: int) -> None:
    """Wake a worker for the last step of a backup, which alone may commit it; else as `wake`."""
    wake(parts, registry, job, FINALIZE, now_ms, patience, (ticket.COMMIT,))


def wake(
    parts: Parts,
    registry: Registry,
    job: Job,
    task: str,
    now_ms: int,
    patience: int,
    more: tuple[str, ...] = (),
) -> None:
    """Wake a worker for a further step of a running job; the message is void after `patience` ms.

    Args:
        more: what the step may do that the others may not.

    Raises:
        BrokerUnreachable: it was not published.
    """
    try:
        vault = registry.vault(job.vault)
    except OutOfScope:
        end(parts, job, FAILED, now_ms, code=verdicts.VAULT_UNKNOWN)
        return
    _publish(parts, vault, job, task, patience, more)


def _publish(
    parts: Parts, vault: VaultEntry, job: Job, task: str, patience: int, more: tuple[str, ...] = ()
) -> None:
    parts.publisher.wake(
        task,
        canonical.to_text(canonical.encode(issue_ticket(parts, vault, job, more))),
        canonical.to_text(job.sealed_spec),
        patience / 1000,
        job.host,
    )


def dispatch_all(parts: Parts, registry: Registry, jobs: Sequence[Job], now_ms: int) -> None:
    """Publish claimed jobs, in order.

    Raises:
        BrokerUnreachable, LedgerError: see `dispatch`; the rest is left to the reaper as well.
    """
    for job in jobs:
        dispatch(parts, registry, job, now_ms)


def end(parts: Parts, job: Job, state: str, now_ms: int, *, code: str = "") -> Job:
    """End a job from the scheduler's side, unless it has ended meanwhile; returns it as it is afterwards."""
    with parts.ledger.transaction():
        current = parts.ledger.get(job.id)
        if current is None or current.over:
            return current or job
        current = lifecycle.ended(current, state, now_ms, code=code)
        store_end(parts, current)
    verdicts.announce(parts, current)
    return current


def store_end(parts: Parts, job: Job) -> None:
    """Store a job that has just ended, inside a transaction."""
    parts.ledger.update(job)
    parts.ledger.forget_details(job.id)
    if job.kind == TIDY and job.state == lifecycle.DONE:
        parts.ledger.set_tidied(job.id)
