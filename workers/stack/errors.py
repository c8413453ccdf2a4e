"""What can go wrong with the embedded stack."""

from config.errors import StrongroomError


class StackError(StrongroomError):
    """The embedded stack cannot start or go on."""


class AlreadyUp(StackError):
    """Another supervisor keeps a stack for the same home."""


class RoleFailed(StackError):
    """A role died again and again before it was ever ready."""


class ServerFailed(StackError):
    """The embedded Valkey server does not start."""
