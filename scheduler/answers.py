"""What the scheduler answers to a question: schedules and jobs, as JSON, only of the asker's own vaults.

Times are milliseconds since 1970, or null.
"""

from typing import Any

import msgspec

from config.settings import Schedule
from crypto.registry import Enrolled, Registry
from scheduler import schedules, verdicts
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
        return msgspec.json.encode(
            [
                _schedule(parts, schedule, now_ms, known=schedule.vault in everybodys)
                for schedule in parts.schedules
                if schedule.vault in names.values() or (astray and schedule.vault not in everybodys)
            ]
        )
    if about == "jobs":
        return msgspec.json.encode(_jobs(parts, names))
    raise Refused(
        "unknown-question", "the scheduler knows no such question", remedy="ask about schedules or jobs"
    )


def _schedule(parts: Parts, schedule: Schedule, now_ms: int, *, known: bool) -> dict[str, Any]:
    last = parts.ledger.last_of(schedule.name)
    return {
        "name": schedule.name,
        "vault": schedule.vault,
        "paths": list(schedule.paths),
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "tags": list(schedule.tags),
        "last": last.slot_ms if last else None,
        "last_state": _state(last) if last else None,
        "next": schedules.next_slot(schedule, now_ms) if known else None,
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
