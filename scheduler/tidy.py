"""Tidying: the working objects of backups that have ended are removed by a maintenance worker, vault by vault."""

import logging
import os
from itertools import groupby
from typing import Final

import msgspec

from crypto.errors import OutOfScope
from crypto.job import TIDY, TidySpec
from crypto.registry import OPERATOR, Registry
from scheduler import dispatch
from scheduler.errors import Refused
from scheduler.lifecycle import Job, upkeep
from scheduler.parts import Parts

logger = logging.getLogger(__name__)

MAX_TIDIED: Final = 256
"""Backups that one job tidies up after."""
SETTLE_MS: Final = 60 * 1000
"""A backup that did not end well may have workers that do not know yet."""
AGAIN_MS: Final = 60 * 60 * 1000
"""Pause after a tidy job that failed."""


def tidy(parts: Parts, registry: Registry, now_ms: int) -> list[Job]:
    """Publish a tidy job for each vault with backups to tidy up after.

    Raises:
        BrokerUnreachable, LedgerError: what is in the ledger is left to the reaper.
    """
    jobs = []
    with parts.ledger.transaction():
        waiting = parts.ledger.untidied(now_ms - SETTLE_MS, now_ms - AGAIN_MS)
        for vault, group in groupby(waiting, key=lambda job: job.vault):
            backups = list(group)[:MAX_TIDIED]
            job = _new_job(parts, registry, vault, [each.id for each in backups], now_ms)
            if job is not None:
                parts.ledger.insert(job)
                jobs.append(job)
            for each in backups:
                # Without a job there is nothing that could be done: the vault is gone from the registry.
                done = {"tidy_job": job.id} if job is not None else {"tidied": True}
                parts.ledger.update(msgspec.structs.replace(each, **done))
    dispatch.dispatch_all(parts, registry, jobs, now_ms)
    return jobs


def _new_job(parts: Parts, registry: Registry, vault: bytes, backups: list[bytes], now_ms: int) -> Job | None:
    """None when nobody can do it."""
    job_id = os.urandom(16)
    try:
        entry = registry.vault(vault)
        owners = registry.holders(OPERATOR, vault)
        spec = TidySpec(
            entry.repo, owners[0].hpke_public if owners else parts.identity.opening.public, tuple(backups)
        )
        sealed = dispatch.seal_for_workers(registry, TIDY, vault, job_id, spec)
    except (OutOfScope, Refused) as error:
        logger.warning("%d backups are not tidied up after: %s", len(backups), error.message)
        return None
    return upkeep(TIDY, job_id, vault, parts.stack, parts.identity.id, sealed, now_ms)
