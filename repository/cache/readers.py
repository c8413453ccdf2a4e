"""Who died in the midst of a read or a write: LMDB trusts its pages, so that a damaged one can kill a process.

Each process has a file of one byte in the generation's folder, locked while it lives. Whoever comes next sees from the
byte of a dead process what that was doing, and must not die of the same page.
"""

import fcntl
import mmap
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

IDLE: Final = 0
READING: Final = 1
WRITING: Final = 2
_PREFIX: Final = "process-"
_SUSPECT: Final = "suspect"


class Mark:
    """This process's byte; `doing[0]` is one of the states above.

    Args:
        folder: of the generation.

    Raises:
        OSError: there is no room for it.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{_PREFIX}{os.urandom(6).hex()}"
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        os.write(self._file, bytes([IDLE]))  # takes the room: a mapped byte without any would kill
        self.doing = mmap.mmap(self._file, 1)

    def close(self) -> None:
        """Leave in order."""
        self.doing.close()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
        os.close(self._file)


def killed_somebody(folder: Path) -> bool:
    """Whether a process died while it read from the generation, or a second one while it wrote; clears their marks.

    Somebody may have killed it, too: for a read, which is short, that is not worth a doubt.
    """
    found = {_doing_when_it_died(path) for path in folder.glob(f"{_PREFIX}*")}
    if READING in found:
        return True
    if WRITING not in found:
        return False
    try:
        (folder / _SUSPECT).touch(exist_ok=False)
    except FileExistsError:
        return True
    return False


def _doing_when_it_died(path: Path) -> int:
    """What the process of this mark did; IDLE while it lives."""
    try:
        mark = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return IDLE
    try:
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found = os.read(mark, 1)
        path.unlink(missing_ok=True)
    except BlockingIOError:
        return IDLE
    finally:
        os.close(mark)
    return found[0] if found else IDLE
