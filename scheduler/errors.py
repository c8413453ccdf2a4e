"""What can go wrong in the scheduler.

SchedulerError
├── Dropped        a message that nobody trusted sent, or that has no effect any more; it is not answered
├── Refused        a trusted operator's request that is not carried out; its code and words go into the verdict
└── LedgerError    the ledger cannot be read or written; nothing is started without it
"""

from config.errors import StrongroomError


class SchedulerError(StrongroomError):
    """Root of the errors of this package."""


class Dropped(SchedulerError):
    """A message that is dropped: its sender is not trusted, or it changes nothing any more."""


class Refused(SchedulerError):
    """An operator's request that is not carried out.

    Args:
        code: a stable word for programs, such as `expired`.
        message: what happened, free of names: it travels in the open.
        remedy: what to do.
    """

    def __init__(self, code: str, message: str, *, remedy: str) -> None:
        super().__init__(message, remedy=remedy)
        self.code = code


class LedgerError(SchedulerError):
    """The ledger cannot be used."""
