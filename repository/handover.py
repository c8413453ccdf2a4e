"""A folder through which objects pass: put by one process, read once and given back by another.

The delivery area of restores. What is in it can be made again, so nothing is synced; all else is as in a repository:
an object appears whole or not at all, and never in the place of another. New pages are most of what writing to memory
or to a page cache costs, so a file that was read is kept as `.free-<name>` for the next object. Whoever renames it owns
it, and whatever is not a plain file of the writer's own, under that one name, is neither written to nor removed.
"""

import errno
import os
import stat
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from typing_extensions import Buffer

from repository.directory import (
    CREATE_FLAGS,
    OBJECT_MODE,
    DirectoryPruner,
    DirectoryWriter,
    place,
    translated,
    write_parts,
)
from repository.store import check_name

_FREE: Final = ".free-"
_KEPT: Final = 4
"""Files that one reader leaves free for writers at a time; more are removed."""
_OVERWRITE_FLAGS: Final = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class HandoverWriter(DirectoryWriter):
    """Puts objects into the folder `root`; not durable."""

    def put(self, name: str, parts: Sequence[Buffer]) -> None:
        """See WriteStore, but for what a crash of the machine leaves."""
        check_name(name)
        target = self._root / name
        with translated(name):
            place(target, lambda temporary: _write(temporary, parts))


class HandoverPruner(HandoverWriter, DirectoryPruner):
    """Also gives back what it has read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._free: deque[Path] = deque()

    def delete(self, name: str) -> None:
        """See PruneStore. The file stays for a writer to use again, if not too many do."""
        check_name(name)
        target = self._root / name
        free = target.with_name(f"{_FREE}{target.name}")
        with translated(name):
            try:
                target.rename(free)
            except FileNotFoundError:
                return
            self._free.append(free)
            if len(self._free) > _KEPT:
                self._free.popleft().unlink(missing_ok=True)


def _write(temporary: Path, parts: Sequence[Buffer]) -> None:
    fd = _claimed(temporary)
    if fd < 0:
        fd = os.open(temporary, CREATE_FLAGS, OBJECT_MODE)
    try:
        written = write_parts(fd, parts)
        if os.fstat(fd).st_size > written:
            os.ftruncate(fd, written)
    finally:
        os.close(fd)


def _claimed(temporary: Path) -> int:
    """A free file of the folder, renamed to `temporary` and open for writing; -1 when there is none."""
    for name in os.listdir(temporary.parent):
        free = temporary.parent / name
        if not name.startswith(_FREE):
            continue
        try:
            if not _is_ours(free.lstat()):
                continue
            free.rename(temporary)
        except FileNotFoundError:
            continue  # another was faster
        fd = os.open(temporary, _OVERWRITE_FLAGS)
        if _is_ours(os.fstat(fd)):
            return fd
        os.close(fd)
        raise OSError(errno.ESTALE, "something else has taken the place of a free file")
    return -1


def _is_ours(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == os.geteuid()
