"""Secrets that a setting names a file for: the file's first line."""

from pathlib import Path

from config.errors import ConfigError

MAX_SECRET_BYTES = 1024


def first_line(setting: str, path: str) -> str:
    """The secret in a file.

    Args:
        setting: that named the file, for the error.
        path: of the file.

    Raises:
        ConfigError: it cannot be read, or its first line is empty or too long.
    """
    try:
        with Path(path).open("rb") as file:
            line = file.readline(MAX_SECRET_BYTES + 2).rstrip(b"\r\n")
    except OSError as error:
        raise ConfigError(
            f"{setting} cannot be read: {path}: {error.strerror}",
            remedy="correct the path, or who may read the file",
        ) from error
    if not line or len(line) > MAX_SECRET_BYTES:
        raise ConfigError(
            f"{setting} names a file without a password in its first line: {path}", remedy="put it there"
        )
    return line.decode("utf-8", "replace")
