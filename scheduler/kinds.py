"""The kinds of jobs: which role does one, what its ticket allows, which task begins it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from config import queues
from crypto import job, ticket
from crypto.registry import BACKUP, MAINTENANCE, RESTORE


class Kind(NamedTuple):
    """How jobs of one kind are done."""

    role: str
    operations: tuple[str, ...]
    """What the ticket allows (`crypto.ticket.OPERATIONS`)."""
    task: str
    """The first task; it takes ticket and spec."""
    max_unwraps: int


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        job.INIT: Kind(BACKUP, (ticket.INIT,), queues.INIT_VAULT, 64),
        job.BACKUP: Kind(BACKUP, (ticket.GENERATE, ticket.ENCRYPT, ticket.DECRYPT), queues.PLAN_BACKUP, 512),
        job.RESTORE: Kind(RESTORE, (ticket.DECRYPT,), queues.PLAN_RESTORE, 512),
        job.LIST: Kind(RESTORE, (ticket.DECRYPT,), queues.LIST, 64),
        job.FIND: Kind(RESTORE, (ticket.DECRYPT,), queues.FIND, 512),
        job.DIFF: Kind(RESTORE, (ticket.DECRYPT,), queues.DIFF, 64),
        job.CHECK: Kind(MAINTENANCE, (ticket.DECRYPT,), queues.CHECK, 512),
        job.FORGET: Kind(MAINTENANCE, (ticket.DECRYPT, ticket.ENCRYPT, ticket.FORGET), queues.FORGET, 64),
        job.PRUNE: Kind(MAINTENANCE, (ticket.DECRYPT, ticket.ENCRYPT, ticket.PRUNE), queues.PRUNE, 512),
        job.TIDY: Kind(MAINTENANCE, (), queues.TIDY, 0),
        job.EXTEND: Kind(MAINTENANCE, (ticket.DECRYPT,), queues.EXTEND, 512),
    }
)

SUBMITTABLE: Final = (
    job.INIT,
    job.BACKUP,
    job.RESTORE,
    job.LIST,
    job.FIND,
    job.DIFF,
    job.CHECK,
    job.FORGET,
    job.PRUNE,
    job.EXTEND,
)
"""What an operator may ask for; a tidy is the scheduler's own."""


def kinds_of_role(role: str) -> tuple[str, ...]:
    """The kinds of jobs that wait in the same queue."""
    return tuple(name for name, kind in KINDS.items() if kind.role == role)
