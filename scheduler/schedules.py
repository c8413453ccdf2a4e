"""Schedules: what is due by the settings, and the jobs that it becomes; a retention's forgets as well as backups."""

import logging
import os
from collections.abc import Iterator

from config.schedules import Recurring, Retention, Schedule
from crypto.job import BACKUP, FORGET, BackupSpec, Spec
from crypto.registry import OPERATOR, Registry, VaultEntry
from scheduler import dispatch, lifecycle, retention
from scheduler.errors import Refused, SchedulerError
from scheduler.ledger import Mark
from scheduler.lifecycle import Job
from scheduler.parts import Parts
from scheduler.slots import due_slot, rule, set_mark

logger = logging.getLogger(__name__)


class NoSuchVault(SchedulerError):
    """A schedule cannot run: its vault, or somebody to own its job, is not registered."""


def dispatch_due(parts: Parts, registry: Registry, now_ms: int) -> list[Job]:
    """Publish a job for each schedule and retention that has one due; returns what was published or tried.

    Raises:
        BrokerUnreachable, LedgerError: what is in the ledger is left to the reaper.
    """
    jobs = []
    for called, recurring in _numbered(parts):
        slot = due_slot(parts, recurring, now_ms)
        if slot is None:
            continue
        try:
            job = _new_job(parts, registry, recurring, slot, now_ms)
        except (NoSuchVault, Refused) as error:
            logger.warning("%s cannot run: %s", called, error.message)
            set_mark(parts, recurring, slot)
            continue
        with parts.ledger.transaction():
            # Another scheduler may have been faster, with this slot or with what follows the one before.
            if parts.ledger.is_running(recurring.name):
                continue
            is_new = parts.ledger.insert(job)
            parts.ledger.set_mark(recurring.name, Mark(rule(recurring), slot))
        if is_new:
            jobs.append(job)
    dispatch.dispatch_all(parts, registry, jobs, now_ms)
    return jobs


def _numbered(parts: Parts) -> Iterator[tuple[str, Recurring]]:
    """All that recurs, each as the log calls it: by number, as a name may say something about its owner."""
    for number, schedule in enumerate(parts.schedules, 1):
        yield f"schedule number {number}", schedule
    for number, policy in enumerate(parts.retention, 1):
        yield f"retention number {number}", policy


def _new_job(parts: Parts, registry: Registry, recurring: Recurring, slot: int, now_ms: int) -> Job:
    """The job of one slot; the scheduler asks for it itself.

    Raises:
        NoSuchVault: its vault is not registered, or has no operator whom its notes could be sealed to.
        Refused: nobody is enrolled to do it.
    """
    vault = next((each for each in registry.vaults if each.name == recurring.vault), None)
    if vault is None:
        raise NoSuchVault("its vault is not registered", remedy="correct its vault")
    owners = registry.holders(OPERATOR, vault.id)
    if not owners:
        raise NoSuchVault("no operator is enrolled for its vault", remedy="enrol one")
    job_id, requester = os.urandom(16), owners[0].hpke_public
    spec: Spec
    if isinstance(recurring, Retention):
        kind, host = FORGET, ""
        spec = retention.forget_spec(recurring, vault.repo, requester)
    else:
        kind, host = BACKUP, recurring.host or vault.host
        spec = _backup_spec(recurring, vault, requester, host or parts.hostname)
    sealed = dispatch.seal_for_workers(registry, kind, vault.id, job_id, spec, host)
    own = lifecycle.upkeep(kind, job_id, vault.id, parts.stack, parts.identity.id, sealed, now_ms)
    return lifecycle.scheduled(own, recurring.name, slot, host)


def _backup_spec(schedule: Schedule, vault: VaultEntry, requester: bytes, hostname: str) -> BackupSpec:
    return BackupSpec(
        repo=vault.repo,
        requester=requester,
        paths=tuple(_path(path) for path in schedule.paths),
        excludes=schedule.excludes,
        tags=schedule.tags,
        hostname=hostname,
        host=schedule.host or vault.host,
    )


def _path(text: str) -> bytes:
    """A path as a spec has it; the URI of a bucket stays as it is."""
    return os.path.normpath(os.fsencode(text)) if text.startswith("/") else os.fsencode(text)
