"""The target of a restore: nothing outside it can be named, and no link inside it is followed.

Every directory is reached from an open directory, one name at a time, with O_NOFOLLOW: whatever the snapshot
says, and whatever anyone plants in the target meanwhile, the kernel never resolves a link or a `..` for us.
restic and borg check paths instead and had to fix what slipped through (borg CVE-2026-62268: a symlinked
parent).
"""

import os
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from sources.source import TargetNotEmpty, TargetUnusable, UnsafePath, reason, unwritable, without_path

OPEN_DIRECTORIES: Final = 64
"""Directory handles kept open per writer: path order needs only a few, the system allows 1024 files."""

DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
PRIVATE_DIRECTORY: Final = 0o700
"""The mode of a directory until its own is applied: nobody looks into a half-restored tree."""

_NO_NAME: Final = frozenset({b"", b".", b".."})
_FRESH_FILE_SYSTEM: Final = frozenset({"lost+found"})


def check_target(target: Path) -> None:
    """Returns when a restore into `target` mixes with nothing: it is missing, or an empty directory.

    A `lost+found` alone, as on a fresh file system, counts as empty.

    Raises:
        TargetNotEmpty: it holds something.
        TargetUnusable: it is not a directory, or cannot be read.
    """
    try:
        with os.scandir(target) as entries:
            foreign = next((entry.name for entry in entries if entry.name not in _FRESH_FILE_SYSTEM), None)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unusable(target, error) from error
    if foreign is not None:
        raise TargetNotEmpty(
            os.fsencode(target),
            f"the target {str(target)!r} is not empty: it holds {foreign!r}",
            remedy="choose an empty or new directory, or empty this one",
        )


def prepare_target(target: Path) -> None:
    """Checks the target and creates it, with the directories above it, when it is missing.

    Raises:
        TargetNotEmpty, TargetUnusable: see `check_target`.
    """
    check_target(target)
    try:
        os.makedirs(target, PRIVATE_DIRECTORY, exist_ok=True)
    except OSError as error:
        raise _unusable(target, error) from error


def _unusable(target: Path, error: OSError) -> TargetUnusable:
    return TargetUnusable(
        os.fsencode(target),
        f"cannot restore into {str(target)!r}: {reason(error)}",
        remedy="choose a directory that you may write",
    )


class TargetTree:
    """Open directory handles below one target, found by snapshot path.

    `strip`: the prefix that restored paths lose: `strip` itself is the target, `strip`/x is x in the target.
    Not for several threads at once; processes each open their own.

    Raises:
        TargetUnusable: the target is no directory that can be opened.
    """

    def __init__(self, target: Path, strip: bytes = b"") -> None:
        self._top = b"" if strip == b"/" else strip.rstrip(b"/")
        self._open: OrderedDict[bytes, int] = OrderedDict()
        self._last: tuple[bytes | None, int] = (None, -1)
        try:
            self.root = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise _unusable(target, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes every handle. Safe to call twice."""
        self._last = (None, -1)
        while self._open:
            os.close(self._open.popitem()[1])
        if self.root >= 0:
            os.close(self.root)
            self.root = -1

    def is_top(self, path: bytes) -> bool:
        """Whether `path` lands on the target itself."""
        return path == (self._top or b"/")

    def place(self, path: bytes) -> tuple[int, bytes]:
        """Where `path` lands: an open directory, created with those above it when missing, and a name in it.

        The handle is good until the next call.

        Raises:
            UnsafePath: outside the target, through something that is not a directory, or with a name that is
                none. Unwritable, TargetFull: the system refuses to open or create a directory.
        """
        head, slash, name = path.rpartition(b"/")
        if name in _NO_NAME or not slash or b"\0" in name:
            raise UnsafePath(path, "refused: its name leads elsewhere")
        last, fd = self._last
        return (fd if head == last else self._enter(head, path, create=True)), name

    def directory(self, path: bytes) -> int:
        """The handle of an existing directory, good until the next call.

        Raises:
            UnsafePath: outside the target, or not a directory.
            Unwritable: it is not there, or the system refuses.
        """
        return self._enter(b"" if path == b"/" else path, path, create=False)

    def _enter(self, directory: bytes, path: bytes, *, create: bool) -> int:
        """Opens `directory`, from the nearest one above it that is open; `path` is named in errors."""
        known = self._open.get(directory)
        if known is not None:
            self._open.move_to_end(directory)
            self._last = (directory, known)
            return known
        names = self._names(directory, path)
        self._last = (None, -1)  # its handle may be closed below, and an error may leave this method early
        missing = []
        above = directory
        while names and above not in self._open:
            missing.append(names.pop())
            above = above.rpartition(b"/")[0]
        fd = self._open[above] if names else self.root
        try:
            for name in reversed(missing):
                fd = _open_child(fd, name) if not create else _open_or_make_child(fd, name)
                above += b"/" + name
                self._keep(above, fd)
        except OSError as error:
            raise unwritable(path, error) from without_path(error)
        self._last = (directory, fd)
        return fd

    def _names(self, directory: bytes, path: bytes) -> list[bytes]:
        """The components of `directory` below the target, each a plain name."""
        if directory == self._top:
            return []
        if not directory.startswith(self._top + b"/"):
            raise UnsafePath(path, "refused: it lies outside the part that is being restored")
        names = directory[len(self._top) + 1 :].split(b"/")
        if not _NO_NAME.isdisjoint(names) or b"\0" in directory:
            raise UnsafePath(path, "refused: a name on its way leads elsewhere")
        return names

    def _keep(self, directory: bytes, fd: int) -> None:
        self._open[directory] = fd
        if len(self._open) > OPEN_DIRECTORIES:
            os.close(self._open.popitem(last=False)[1])


def _open_child(parent: int, name: bytes) -> int:
    return os.open(name, DIRECTORY, dir_fd=parent)


def _open_or_make_child(parent: int, name: bytes) -> int:
    try:
        return os.open(name, DIRECTORY, dir_fd=parent)
    except FileNotFoundError:
        with suppress(FileExistsError):  # another process of the same restore was first
            os.mkdir(name, PRIVATE_DIRECTORY, dir_fd=parent)
        return os.open(name, DIRECTORY, dir_fd=parent)
