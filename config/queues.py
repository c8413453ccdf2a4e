"""The names on the wire: roles, queues, tasks and lists. No other module spells one out."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

# Roles: the part of a process, of a broker user and of a log file.
SCHEDULER: Final = "scheduler"
BEAT: Final = "beat"
KEY_BROKER: Final = "key-broker"
BACKUP: Final = "backup"
RESTORE: Final = "restore"
MAINTENANCE: Final = "maintenance"
CLIENT: Final = "client"
MONITOR: Final = "monitor"

# The queue that each worker role consumes. Beat, client and monitor consume none.
QUEUE_OF_ROLE: Final[Mapping[str, str]] = MappingProxyType(
    {
        SCHEDULER: "scheduler",
        KEY_BROKER: "keys",
        BACKUP: "backup",
        RESTORE: "restore",
        MAINTENANCE: "maintenance",
    }
)
SCHEDULER_QUEUE: Final = QUEUE_OF_ROLE[SCHEDULER]
KEYS_QUEUE: Final = QUEUE_OF_ROLE[KEY_BROKER]
BACKUP_QUEUE: Final = QUEUE_OF_ROLE[BACKUP]
RESTORE_QUEUE: Final = QUEUE_OF_ROLE[RESTORE]
MAINTENANCE_QUEUE: Final = QUEUE_OF_ROLE[MAINTENANCE]
QUEUES: Final[tuple[str, ...]] = tuple(QUEUE_OF_ROLE.values())

# Tasks. The part before the dot is the queue, so that a task name never needs a routing table.
SUBMIT: Final = "scheduler.submit"
REPORT: Final = "scheduler.report"
TICK: Final = "scheduler.tick"
UNWRAP: Final = "keys.unwrap"
JOB_OVER: Final = "keys.job_over"
PLAN_BACKUP: Final = "backup.plan"
BACKUP_SEGMENT: Final = "backup.segment"
FINALIZE: Final = "backup.finalize"
INIT_VAULT: Final = "backup.init_vault"
PLAN_RESTORE: Final = "restore.plan"
RESTORE_SEGMENT: Final = "restore.segment"
LIST: Final = "restore.list"
CHECK: Final = "maintenance.check"
TIDY: Final = "maintenance.tidy"
TASKS: Final[tuple[str, ...]] = (
    SUBMIT,
    REPORT,
    TICK,
    UNWRAP,
    JOB_OVER,
    PLAN_BACKUP,
    BACKUP_SEGMENT,
    FINALIZE,
    INIT_VAULT,
    PLAN_RESTORE,
    RESTORE_SEGMENT,
    LIST,
    CHECK,
    TIDY,
)

REPLY_PREFIX: Final = "reply:"
NOTES_PREFIX: Final = "notes:"
STATUS_PREFIX: Final = "status:"


def queue_of_task(name: str) -> str:
    """The queue that a task name belongs to, which is the part before its dot."""
    return name.partition(".")[0]


def reply_list(role: str, nonce: bytes) -> str:
    """The list on which the answer to one request of `role` arrives; `nonce` is the request's."""
    return f"{REPLY_PREFIX}{role}:{nonce.hex()}"


def notes_list(job: bytes) -> str:
    """The list of notes from workers to the client that waits for `job` (16 bytes)."""
    return f"{NOTES_PREFIX}{job.hex()}"


def status_key(role: str) -> str:
    """The key under which a role says how it is."""
    return f"{STATUS_PREFIX}{role}"
