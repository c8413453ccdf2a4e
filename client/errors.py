"""What can go wrong where the person is.

ClientError
├── NotInitialised          there is no home yet
├── AlreadyInitialised      there is one already
├── BadArgument             a word on the command line that means nothing; exit code 2
├── MissingPath             a path to back up is not there
├── UnknownVault            no vault of that name
├── VaultExists             the name, or the place, is taken
├── VaultInUse              jobs of it run, or schedules name it
├── StackFailed             the embedded stack does not start, or died
├── EnrolmentRefused        an identity cannot be enrolled, or is not
├── NotUp                   no stack is kept up
├── NotEmbedded             what only the embedded stack has, with a broker of one's own; or the reverse
├── BrokerUnreachable       the message broker does not answer
├── SchedulerSilent         the scheduler does not answer
├── JobFailed               the job failed for good; carries the code that the workers gave
├── Interrupted             Ctrl-C or SIGTERM; exit code 130
├── NotDumpable             what has no content to write, or does not fit into the archive asked for
├── DumpBroken              a dump ended in the middle; what it wrote by then is right, and not all
├── ChunkUnusable           one chunk of a parcel cannot be used
└── EntryDamaged            one entry of a parcel is not what the snapshot says
"""

import re

from config.errors import StrongroomError


class ClientError(StrongroomError):
    """Root of the errors of this package."""


class NotInitialised(ClientError):
    """There is no home yet."""


class AlreadyInitialised(ClientError):
    """There is a home already."""


class BadArgument(ClientError):
    """A word on the command line that means nothing: wrong usage, as for what click itself refuses."""

    exit_code = 2


class MissingPath(ClientError):
    """A path to back up is not there."""


class UnknownVault(ClientError):
    """No vault of that name is registered."""


class VaultExists(ClientError):
    """The vault's name, or its place, is taken."""


class VaultInUse(ClientError):
    """Jobs of the vault run, or schedules name it."""


class StackFailed(ClientError):
    """The embedded stack does not start, or died."""


class EnrolmentRefused(ClientError):
    """An identity cannot be enrolled as asked, or is not enrolled."""


class NotUp(ClientError):
    """No stack is kept up."""


class NotEmbedded(ClientError):
    """What only the embedded stack has was asked for with a broker of one's own, or the reverse."""


class BrokerUnreachable(ClientError):
    """The message broker does not answer."""


class SchedulerSilent(ClientError):
    """The scheduler does not answer."""


class JobFailed(ClientError):
    """A job failed for good.

    Args:
        code: a stable word, such as `kms-key-disabled`.
    """

    def __init__(self, code: str, message: str, *, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.code = code


class Interrupted(ClientError):
    """The person, or the system, asked to stop."""

    exit_code = 130


class NotDumpable(ClientError):
    """There is no content to write, or an archive of the kind asked for cannot hold it."""


class DumpBroken(ClientError):
    """A dump ended in the middle: every byte that it wrote is right, but they are not all."""


class ChunkUnusable(ClientError):
    """One chunk of a parcel cannot be used; entries that do not need it can be delivered."""


class EntryDamaged(ClientError):
    """One entry of a parcel is not what the snapshot says; nothing of it is left in the target."""


def code_of(error: StrongroomError) -> str:
    """The stable word for an error: the workers' code, or the name of its class in lower case."""
    if isinstance(error, JobFailed):
        return error.code
    return re.sub(r"(?<!^)(?=[A-Z])", "-", type(error).__name__).lower()
