"""What the functions of the scheduler work with, as one value; and what they need of the broker."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from config.schedules import Retention, Schedule
from crypto.identity import Identity
from crypto.registry import Registry
from scheduler.ledger import Ledger


class Publisher(Protocol):
    """The scheduler's way to the broker. Whatever it loses is made good by leases and by the client asking again."""

    def wake(self, task: str, ticket: str, spec: str, expires_s: float, host: str) -> None:
        """Put the first task of a job into the queue of its role, or of its role on `host`; void after `expires_s`.

        Raises:
            BrokerUnreachable: it is not there.
        """

    def end_tickets(self, job: bytes, signed: str) -> None:
        """Tell the key-broker, and workers that look, that a job is over (`crypto.ticket.end`, as a task argument).

        Raises:
            BrokerUnreachable: it is not there.
        """

    def push_letter(self, job: bytes, letter: bytes) -> None:
        """Append a letter to the list of a job's requester.

        Raises:
            BrokerUnreachable: it is not there.
        """

    def publish_status(self, status: bytes) -> None:
        """Leave the scheduler's counters (JSON) where a client finds them.

        Raises:
            BrokerUnreachable: they are not there.
        """


@dataclass(frozen=True)
class Parts:
    """A scheduler's parts.

    Attributes:
        identity: signs tickets and verdicts, opens what clients seal to the scheduler.
        registry: who is enrolled now.
        ledger: open, of this process.
        publisher: to the broker of this stack.
        stack: id of the broker that jobs wait on, 16 bytes; schedulers on one broker share it.
        one_shot: whether the stack lives only as long as one command: it then takes on no work but that command's.
        schedules, retention: of the settings.
        hostname: of the machine whose files the schedules name.
    """

    identity: Identity
    registry: Callable[[], Registry]
    ledger: Ledger
    publisher: Publisher
    stack: bytes
    one_shot: bool
    schedules: tuple[Schedule, ...]
    retention: tuple[Retention, ...]
    hostname: str
