"""Whose turn it is: which jobs of a vault must not run beside each other, and until when a sweep has to wait.

Backups, restores and all that lists never wait. Everything here is decided inside a transaction of the ledger, so that
several schedulers decide alike.
"""

from typing import Final

from crypto.job import BACKUP, CHECK, DIFF, EXTEND, FIND, FORGET, LIST, PRUNE, RESTORE
from scheduler import lifecycle
from scheduler.ledger import Ledger
from scheduler.lifecycle import SWEEPING, Job
from scheduler.parts import Parts

WAITED_FOR: Final = (BACKUP, RESTORE, LIST, FIND, DIFF)
"""A sweep waits for those of them that began before the mark was made."""
IN_TURN: Final = (FORGET, PRUNE, CHECK, EXTEND)


def take_turn(parts: Parts, job: Job, now_ms: int) -> Job | None:
    """Put a claimed job off that was never published and has to wait for others; None if it may be published."""
    if job.kind not in IN_TURN or job.fence > 1:
        return None
    with parts.ledger.transaction():
        current = parts.ledger.get(job.id)
        if current is None or current.over or current.fence != job.fence or not must_wait(parts.ledger, job):
            return None
        current = lifecycle.put_off(current, now_ms)
        parts.ledger.update(current)
    return current


def must_wait(ledger: Ledger, job: Job) -> bool:
    """Whether a job that was never published has to wait for others of its vault.

    - One snapshot is not forgotten twice, nor while a prune looks at what the snapshots need.
    - There is one prune at a time.
    - What looks at the whole repository would take a sweep for damage.

    A job of a stack that is gone is waited for by nobody: no worker does it, and it may be long until another stack
    takes it on.
    """
    gone = {each.id for each in ledger.orphans(job.stack)} | {job.id}
    others = [each for each in ledger.unfinished_of(job.vault, IN_TURN) if each.begun and each.id not in gone]
    if job.kind == FORGET:
        return any(each.kind == FORGET or (each.kind == PRUNE and each.barrier <= 0) for each in others)
    if job.kind == PRUNE:
        return any(each.kind in (FORGET, PRUNE) for each in others)
    return any(each.kind == PRUNE and each.barrier == SWEEPING for each in others)


def waits_in_vain(ledger: Ledger, prune: Job) -> bool:
    """Whether a prune waits for a backup that goes on only when another stack takes it on."""
    return any(each.vault == prune.vault and each.kind in WAITED_FOR for each in ledger.orphans(prune.stack))


def may_sweep(ledger: Ledger, prune: Job) -> bool:
    """Whether a prune that has marked may remove what it marked.

    - Every job has ended that began before the mark: it may have come to rely on what is marked. Those that began
      later do not: each of their processes looks for marks at its first step (`workers/backup/session.py`).
    - Nobody forgets, or looks at the whole repository, beside it.
    """
    if ledger.began_before(prune.barrier, prune.vault, WAITED_FOR):
        return False
    gone = {each.id for each in ledger.orphans(prune.stack)} | {prune.id}
    return not any(each.begun and each.id not in gone for each in ledger.unfinished_of(prune.vault, IN_TURN))
