"""The names on the wire: roles, stations, queues, tasks and lists. No other module spells one out."""

import re
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
# The broker's user that only asks whether the server answers.
HEALTH: Final = "health"

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

# A host that only its own workers may work for: what has to be read there is read by them.
HOST_PATTERN: Final = r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?"
HOSTED_ROLES: Final = frozenset({BACKUP})
HOST_QUEUES: Final = f"{BACKUP_QUEUE}.*"
"""The queues of all hosts, as a key pattern."""

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
FIND: Final = "restore.find"
DIFF: Final = "restore.diff"
CHECK: Final = "maintenance.check"
TIDY: Final = "maintenance.tidy"
EXTEND: Final = "maintenance.extend"
FORGET: Final = "maintenance.forget"
PRUNE: Final = "maintenance.prune"
SWEEP: Final = "maintenance.sweep"
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
    FIND,
    DIFF,
    CHECK,
    TIDY,
    EXTEND,
    FORGET,
    PRUNE,
    SWEEP,
)

REPLY_PREFIX: Final = "reply:"
NOTES_PREFIX: Final = "notes:"
TAKEN_PREFIX: Final = "taken:"
OVER_PREFIX: Final = "over:"
HERE: Final = "here"
"""The field of `taken_key` that is there for as long as the requester is."""
LEFT: Final = b"0"
"""What is in it when the requester has left."""
STATUS_PREFIX: Final = "status:"
SIGN_PREFIX: Final = "alive:"
SIGN_LIFE_S: Final = 7 * 24 * 60 * 60
"""A role's sign of life is set for so long: how old it is, by the broker's clock, is seen from what is left of that."""


def queue_of_task(name: str) -> str:
    """The queue that a task name belongs to, which is the part before its dot."""
    return name.partition(".")[0]


def is_host(name: str) -> bool:
    """Whether a text is a name of a host."""
    return re.fullmatch(HOST_PATTERN, name) is not None


def station(role: str, host: str = "") -> str:
    """A role, or a role on one host: the name of its broker user and of its lists."""
    return f"{role}.{host}" if host else role


def work_queue(role: str, host: str = "") -> str:
    """The queue that the workers of a role consume; with a host, the one that only its own workers do."""
    return station(QUEUE_OF_ROLE[role], host)


def queue_seen_from(own: str, task: str) -> str:
    """The queue into which whoever consumes `own` puts a call of `task`: its own for steps of its own role."""
    queue = queue_of_task(task)
    return own if own.partition(".")[0] == queue else queue


def reply_list(station_name: str, nonce: bytes) -> str:
    """The list on which the answer to one request of a station arrives; `nonce` is the request's."""
    return f"{REPLY_PREFIX}{station_name}:{nonce.hex()}"


def notes_list(job: bytes) -> str:
    """The list of notes from workers to the client that waits for `job` (16 bytes)."""
    return f"{NOTES_PREFIX}{job.hex()}"


def taken_key(job: bytes) -> str:
    """The hash in which the client that follows a restore says how many parcels of each segment it is done with."""
    return f"{TAKEN_PREFIX}{job.hex()}"


def over_key(job: bytes) -> str:
    """The key under which the scheduler says that a job is over (`crypto.ticket.end`, as a task argument)."""
    return f"{OVER_PREFIX}{job.hex()}"


def status_key(role: str) -> str:
    """The key under which a role says how it is."""
    return f"{STATUS_PREFIX}{role}"


def sign_key(station_name: str) -> str:
    """The key that a station sets again and again while it lives; it holds nothing."""
    return f"{SIGN_PREFIX}{station_name}"
