"""The root of every error that Strongroom raises on purpose.

Each package has its own subclass tree; only the client turns an error into an exit code and a line for a person.
"""


class StrongroomError(Exception):
    """Something went wrong that the reader of the message can act on.

    Args:
        message: what happened, in one sentence, without secrets.
        remedy: what to do about it, in one sentence; may be empty.
    """

    exit_code = 1

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} ({self.remedy})" if self.remedy else self.message


class ConfigError(StrongroomError):
    """A setting is missing, unknown or out of range."""
