"""What a backup of files must never read, known by what it is: a link, a second name or another mount is no way to it.

Whoever may ask for a backup may also ask for its restore. What the reading process lives by (its identity, its
passwords) is therefore not theirs to ask for, wherever in the tree it lies.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

FORBIDDEN: Final = "a secret of this Strongroom worker is never backed up"
PROCESSES: Final = "/proc shows what processes have in memory and is never backed up"

_PROC: Final = b"proc"
_MOUNTS: Final = Path("/proc/self/mountinfo")


class Guard:
    """Some files and folders with all that is in them, and every mount of /proc.

    Args:
        secrets: their paths; what is not there is not guarded.
        mounts: where this system tells what is mounted.
    """

    def __init__(self, secrets: Iterable[Path] = (), mounts: Path | None = _MOUNTS) -> None:
        self._secrets = frozenset(_identities(secrets))
        self.inodes = frozenset(inode for _, inode in self._secrets)
        """Of the secrets: what has none of these numbers, and is no directory, need not be asked about."""
        self._devices = frozenset(_devices_of_proc(mounts)) if mounts else frozenset()

    def forbids(self, found: os.stat_result) -> str:
        """Why this may not be read; empty when it may."""
        if (found.st_dev, found.st_ino) in self._secrets:
            return FORBIDDEN
        return PROCESSES if found.st_dev in self._devices else ""

    def forbids_below(self, path: bytes) -> str:
        """Why nothing at this absolute path may be read, because of a folder that it is in; empty when it may."""
        real = os.path.realpath(path)
        while real != b"/":
            real = os.path.dirname(real)
            try:
                found = os.stat(real)
            except OSError:
                continue  # too long for one call, say; those above it are not
            if why := self.forbids(found):
                return why
        return ""


def _identities(paths: Iterable[Path]) -> Iterator[tuple[int, int]]:
    for path in paths:
        try:
            found = path.stat()
        except OSError:
            continue
        yield found.st_dev, found.st_ino
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                # As they are and, for links, what they lead to.
                for follow in (False, True):
                    try:
                        inside = os.stat(os.path.join(folder, name), follow_symlinks=follow)
                    except OSError:
                        continue
                    yield inside.st_dev, inside.st_ino


def _devices_of_proc(mounts: Path) -> Iterator[int]:
    """Device numbers of mounted /proc: proc(5), mountinfo."""
    try:
        lines = mounts.read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        fields, _, kind = line.partition(b" - ")
        if kind.split(b" ", 1)[0] == _PROC:
            major, _, minor = fields.split(b" ")[2].partition(b":")
            yield os.makedev(int(major), int(minor))


NOTHING: Final = Guard(mounts=None)
"""Guards nothing."""
