"""Where a dump is written: standard output, or a file that is there only when it is whole."""

import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from client.errors import BadArgument
from client.restore.staging import PREFIX
from config.home import OWNER_ONLY_FILE

_BUFFER: Final = 1 << 20


@contextmanager
def standard_output() -> Iterator[BinaryIO]:
    """Standard output for bytes.

    Raises:
        BrokenPipeError: nobody reads any more.
    """
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=_BUFFER)
    try:
        yield out
        out.flush()
    finally:
        with suppress(OSError):
            out.close()


def check_target(target: Path) -> None:
    """Refuse what no dump can be written to, before anything is started.

    Raises:
        BadArgument: it is a folder, or in none.
    """
    if target.is_dir():
        raise BadArgument(f"{str(target)!r} is a folder", remedy="name a file to write to")
    if not target.parent.is_dir():
        raise BadArgument(f"there is no folder {str(target.parent)!r}", remedy="make it first")


@contextmanager
def file_output(target: Path) -> Iterator[BinaryIO]:
    """A file that appears, or replaces another, when the block ends well; a device or FIFO is written to as it is.

    Raises:
        OSError: it cannot be made or written.
    """
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):
        with target.open("wb", buffering=_BUFFER) as out:
            yield out
        return
    unfinished = target.parent / f"{PREFIX}{secrets.token_hex(8)}"
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OWNER_ONLY_FILE)
    try:
        with os.fdopen(descriptor, "wb", buffering=_BUFFER) as out:
            yield out
            out.flush()
            os.fsync(descriptor)
        unfinished.replace(target)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
