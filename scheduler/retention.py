"""Retention: what a forget that recurs asks for, and the prune that follows one that ended well.

Both jobs are those of `strongroom forget --prune`: the same specs, tickets and turns, and the same code in the workers,
so that a policy which would leave nothing of a host and paths is refused here as well.
"""

import logging
import os

from config.keep import COUNTS, UNLIMITED, read_path, read_span, read_tags
from config.schedules import Count, Retention
from crypto.errors import OutOfScope
from crypto.job import FORGET, PRUNE, ForgetSpec, KeepPolicy, PruneSpec, SnapshotFilter
from crypto.registry import OPERATOR, Registry
from scheduler import dispatch, prunes, verdicts
from scheduler.errors import Refused
from scheduler.ledger import Ledger
from scheduler.lifecycle import DONE, FAILED, Job, ended, scheduled, upkeep
from scheduler.parts import Parts
from scheduler.slots import rule

logger = logging.getLogger(__name__)


def forget_spec(policy: Retention, repo: str, requester: bytes) -> ForgetSpec:
    """What one run of a retention asks for; never that a host and paths may be left without a snapshot."""
    counts = {name: _times(getattr(policy, f"keep_{name}")) for name in COUNTS}
    return ForgetSpec(
        repo,
        requester,
        snapshots=(),
        keep=KeepPolicy(**counts, within=read_span(policy.keep_within), tags=read_tags(policy.keep_tags)),
        filter=SnapshotFilter(policy.hosts, read_tags(policy.tags), tuple(map(read_path, policy.paths))),
    )


def _times(count: Count) -> int:
    return -1 if count == UNLIMITED else int(count)


def prune_due(parts: Parts, registry: Registry, now_ms: int) -> list[Job]:
    """Publish a prune for each retention whose last forget ended well and has none yet; returns what was published.

    One that cannot be is a failed job in the ledger, for people to see; the next is tried after the next forget.

    Raises:
        BrokerUnreachable, LedgerError: what is in the ledger is left to the reaper.
    """
    jobs = []
    for number, policy in enumerate(parts.retention, 1):
        with parts.ledger.transaction():
            forgot = _unfollowed(parts.ledger, policy)
            if forgot is None:
                continue
            job = _new_prune(parts, registry, policy, forgot, now_ms)
            parts.ledger.insert(job)
        if job.over:
            logger.warning("retention number %d forgets and cannot prune: %s", number, job.code)
        else:
            jobs.append(job)
    dispatch.dispatch_all(parts, registry, jobs, now_ms)
    return jobs


def _unfollowed(ledger: Ledger, policy: Retention) -> Job | None:
    """The forget of the last slot, if it is to be followed by a prune and was not."""
    mark = ledger.mark(policy.name)
    if not policy.prune or mark is None or mark.rule != rule(policy):
        return None
    forgot = ledger.of_slot(policy.name, mark.mark_ms)
    if forgot is None or (forgot.kind, forgot.state) != (FORGET, DONE) or ledger.follower(forgot) is not None:
        return None
    return forgot


def _new_prune(parts: Parts, registry: Registry, policy: Retention, forgot: Job, now_ms: int) -> Job:
    """The prune after a forget; over already when it is refused."""
    job_id, vault = os.urandom(16), forgot.vault
    sealed, code = b"", ""
    try:
        prunes.require_known(parts.ledger, vault, now_ms)
        owners = registry.holders(OPERATOR, vault)
        requester = owners[0].hpke_public if owners else parts.identity.opening.public
        spec = PruneSpec(registry.vault(vault).repo, requester, policy.max_unused / 100)
        spec = prunes.prepared(parts.ledger, vault, spec)
        sealed = dispatch.seal_for_workers(registry, PRUNE, vault, job_id, spec)
    except OutOfScope:
        code = verdicts.VAULT_UNKNOWN
    except Refused as why:
        code = why.code
    job = scheduled(upkeep(PRUNE, job_id, vault, parts.stack, parts.identity.id, sealed, now_ms), policy.name)
    return ended(job, FAILED, now_ms, code=code) if code else job
