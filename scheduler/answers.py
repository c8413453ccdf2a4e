"""What the scheduler answers to a question: schedules and jobs, as JSON, only of the asker's own vaults.

Times are milliseconds since 1970, or null.
"""

from typing import Any

import msgspec

from config.schedules import Recurring, Retention
from crypto.job import BACKUP, FORGET
from crypto.registry import Enrolled, Registry
from scheduler import slots, verdicts
from scheduler.errors import Refused
from scheduler.lifecycle import WAITING, Job
from scheduler.parts import Parts

MAX_JOBS = 100


def answer(parts: Parts, registry: Registry, operator: Enrolled, about: str, now_ms: int) -> bytes:
    """The answer to a question, as JSON.

    Raises:
        Refused: this release does not know the question.
    """
    names = {
        vault.id: vault.name
        for vault in registry.vaults
        if operator.vaults is None or vault.id in operator.vaults
    }
    if about == "schedules":
        everybodys = {vault.name for vault in registry.vaults}
        # Who may see all vaults also sees what names none: a slip of the pen would otherwise mean no backups, silently.
        astray = operator.vaults is None
        recurring: tuple[Recurring, ...] = (*parts.schedules, *parts.retention)
        return msgspec.json.encode(
            [
                _schedule(parts, each, now_ms, known=each.vault in everybodys)
                for each in recurring
                if each.vault in names.values() or (astray and each.vault not in everybodys)
            ]
        )
    if about == "jobs":
        return msgspec.json.encode(_jobs(parts, names))
    raise Refused(
        "unknown-question", "the scheduler knows no such question", remedy="ask about schedules or jobs"
    )


def _schedule(parts: Parts, recurring: Recurring, now_ms: int, *, known: bool) -> dict[str, Any]:
    last = parts.ledger.last_of(recurring.name)
    prune = parts.ledger.follower(last) if last else None
    policy = recurring if isinstance(recurring, Retention) else None
    return {
        "name": recurring.name,
        "kind": FORGET if policy else BACKUP,
        "prune": policy is not None and policy.prune,
        "vault": recurring.vault,
        "paths": list(recurring.paths),
        "cron": recurring.cron,
        "timezone": recurring.timezone,
        "tags": list(recurring.tags),
        "last": last.slot_ms if last else None,
        "last_state": _state(last) if last else None,
        "last_code": verdicts.code_of(last) if last else "",
        "prune_state": _state(prune) if prune else None,
        "prune_code": verdicts.code_of(prune) if prune else "",
        "next": slots.next_slot(recurring, now_ms) if known else None,
        "problem": None if known else "there is no such vault",
    }


def _jobs(parts: Parts, names: dict[bytes, str]) -> list[dict[str, Any]]:
    return [
        {
            "id": job.id.hex(),
            "kind": job.kind,
            "vault": names[job.vault],
            "state": _state(job),
            "created": job.created_ms,
            "finished": job.finished_ms or None,
            "attempts": job.attempts,
            "schedule": job.schedule,
            "code": verdicts.code_of(job),
        }
        for job in parts.ledger.newest(MAX_JOBS)
        if job.vault in names
    ]


def _state(job: Job) -> str:
    return "queued" if job.state == WAITING else job.state
