"""A folder through which objects pass: put by one process, read once and given back by another.

The delivery area of restores. What is in it can be made again, so nothing is synced; all else is as in a repository:
an object appears whole or not at all, and never in the place of another. New pages are most of what writing to memory
or to a page cache costs, so a file that was read is kept as `.free-<name>` for the next object. Whoever renames it owns
it, and whatever is not a plain file of the writer's own, under that one name, is not written to.
"""

import os
import secrets
import stat
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from typing_extensions import Buffer

from repository.directory import (
    CREATE_FLAGS,
    OBJECT_MODE,
    TEMPORARY,
    DirectoryPruner,
    DirectoryWriter,
    make_folders,
    translated,
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
            if not target.parent.is_dir():
                make_folders(target.parent)
            temporary = target.parent / f"{TEMPORARY}{secrets.token_hex(8)}"
            try:
                _write(temporary, parts)
                os.link(temporary, target, follow_symlinks=False)
            finally:
                temporary.unlink(missing_ok=True)


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
        written = 0
        for part in parts:
            rest = memoryview(part)
            while rest:
                count = os.write(fd, rest)
                rest, written = rest[count:], written + count
        if os.fstat(fd).st_size > written:
            os.ftruncate(fd, written)
    finally:
        os.close(fd)


def _claimed(temporary: Path) -> int:
    """A free file of the folder, renamed to `temporary` and open for writing; -1 when there is none."""
    for name in os.listdir(temporary.parent):
        if not name.startswith(_FREE):
            continue
        try:
            (temporary.parent / name).rename(temporary)
        except FileNotFoundError:
            continue  # another was faster
        try:
            fd = os.open(temporary, _OVERWRITE_FLAGS)
        except OSError:
            temporary.unlink()
            continue
        found = os.fstat(fd)
        if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == os.geteuid():
            return fd
        os.close(fd)
        temporary.unlink()
    return -1
