"""Locks: those of a vault's objects are extended by a maintenance worker, long before they end.

`PruneStore.extend` leaves a lock alone while three quarters of the retention are ahead. A vault is looked at after a
quarter of it at the latest, so what a snapshot needs is locked for at least half of the retention at any time, as long
as the jobs succeed.
"""

import logging
import os
from typing import Final

from crypto.errors import OutOfScope
from crypto.job import EXTEND, ExtendSpec
from crypto.registry import OPERATOR, Registry, VaultEntry
from repository.errors import StoreError
from repository.place import S3Place, parse_place
from scheduler import dispatch
from scheduler.errors import Refused
from scheduler.lifecycle import DONE, Job, upkeep
from scheduler.parts import Parts

logger = logging.getLogger(__name__)

LONGEST_MS: Final = 24 * 60 * 60 * 1000
"""Pause between two looks, however long the retention is."""
AGAIN_MS: Final = 60 * 60 * 1000
"""Pause after a look that failed."""


def extend_due(parts: Parts, registry: Registry, now_ms: int) -> list[Job]:
    """Publish a job for each vault with locks that was not looked at for a while.

    Raises:
        BrokerUnreachable, LedgerError: what is in the ledger is left to the reaper.
    """
    jobs = []
    for vault in registry.vaults:
        pause = pause_ms(vault.repo)
        if pause is None:
            continue
        with parts.ledger.transaction():
            last = parts.ledger.latest(EXTEND, vault.id)
            if last is not None and not _is_due(last, pause, now_ms):
                continue
            job = _new_job(parts, registry, vault, now_ms)
            if job is not None:
                parts.ledger.insert(job)
                jobs.append(job)
    dispatch.dispatch_all(parts, registry, jobs, now_ms)
    return jobs


def pause_ms(repo: str) -> int | None:
    """How long to wait between two looks at a repository, ms; None if its objects have no locks."""
    try:
        place = parse_place(repo)
    except StoreError:
        return None  # of another release; the workers say so
    if not isinstance(place, S3Place) or not place.lock:
        return None
    return min(LONGEST_MS, place.retention_s * 1000 // 4)


def _is_due(last: Job, pause: int, now_ms: int) -> bool:
    if not last.over:
        return False
    return now_ms - last.created_ms >= (pause if last.state == DONE else min(pause, AGAIN_MS))


def _new_job(parts: Parts, registry: Registry, vault: VaultEntry, now_ms: int) -> Job | None:
    """None when nobody can do it."""
    job_id = os.urandom(16)
    owners = registry.holders(OPERATOR, vault.id)
    requester = owners[0].hpke_public if owners else parts.identity.opening.public
    try:
        sealed = dispatch.seal_for_workers(
            registry, EXTEND, vault.id, job_id, ExtendSpec(vault.repo, requester)
        )
    except (OutOfScope, Refused) as error:
        logger.warning("locks of vault %s are not extended: %s", vault.id.hex(), error.message)
        return None
    return upkeep(EXTEND, job_id, vault.id, parts.stack, parts.identity.id, sealed, now_ms)
