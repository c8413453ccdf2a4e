"""How to reach a running stack: what its supervisor says when it is ready, and leaves in run/stack.json."""

import fcntl
import os
from pathlib import Path

import msgspec

from config.errors import ConfigError
from config.home import OWNER_ONLY_FILE, Home

MAX_STACK_FILE_BYTES = 64 << 10


class StackInfo(msgspec.Struct, frozen=True, tag="ready"):
    """A stack that is ready, for the same user's commands.

    Attributes:
        pid: of the supervisor; SIGTERM stops the stack.
        broker_url: `redis+socket://client:...@/...`, with the client's password: owner-only.
        started_ms: when it was ready, ms since epoch.
        seconds: what starting took.
        flower_url, flower_user, flower_password: empty without Flower.
    """

    pid: int
    broker_url: str
    started_ms: int
    seconds: float
    flower_url: str = ""
    flower_user: str = ""
    flower_password: str = ""


class StackFailure(msgspec.Struct, frozen=True, tag="failed"):
    """Why a stack did not start, in the words of a StrongroomError."""

    message: str
    remedy: str = ""


def encode_line(answer: StackInfo | StackFailure) -> bytes:
    """The one line (with its newline) that a supervisor writes to whoever started it."""
    return msgspec.json.encode(answer) + b"\n"


def decode_line(line: bytes) -> StackInfo:
    """Read what `encode_line` made.

    Raises:
        ConfigError: the stack did not start; message and remedy are the supervisor's. An empty line: it died.
    """
    try:
        answer = msgspec.json.decode(line, type=StackInfo | StackFailure)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError("the embedded stack died while starting", remedy="see logs/stack.log") from error
    if isinstance(answer, StackFailure):
        raise ConfigError(answer.message, remedy=answer.remedy)
    return answer


def write_stack_file(home: Home, info: StackInfo) -> None:
    """Leave `info` for other commands, owner-only; replaces what was there in one step."""
    temporary = home.stack_file.with_suffix(f".{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, OWNER_ONLY_FILE)
    with open(descriptor, "wb") as file:
        file.write(encode_line(info))
    temporary.replace(home.stack_file)


def running_stack(home: Home) -> StackInfo | None:
    """The stack that is kept up for `home`, None when there is none; what a dead one left counts for nothing.

    Raises:
        ConfigError: the stack file cannot be read or is not one.
    """
    if not is_locked(home.stack_lock):
        return None
    try:
        with home.stack_file.open("rb") as file:
            return decode_line(file.read(MAX_STACK_FILE_BYTES))
    except FileNotFoundError:
        return None  # it is still starting, or just stopping
    except OSError as error:
        raise ConfigError(
            f"cannot read {home.stack_file}: {error.strerror}", remedy="run as its owner"
        ) from error


def config_changed(home: Home, info: StackInfo) -> bool:
    """Whether config.toml was written after this stack has read it, so that the stack goes on as it was."""
    try:
        written_ms = home.settings_file.stat().st_mtime_ns // 1_000_000
    except OSError:
        return False
    # It is read at the beginning of the start.
    return written_ms > info.started_ms - info.seconds * 1000


def is_locked(lock: Path) -> bool:
    """Whether a living supervisor holds `lock`."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
