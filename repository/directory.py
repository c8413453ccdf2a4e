"""A repository in a folder: the object store for disks and for every file system that can be mounted.

An object appears whole or not at all: it is written under a temporary name in its own folder, synced, and
then linked to its name, which fails when the name is taken. Readers never see a name that begins with a dot.
"""

import errno
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from typing_extensions import Buffer

from repository.errors import (
    ObjectDamaged,
    ObjectExists,
    ObjectMissing,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreMissing,
    StoreUnreachable,
    StoreUnsupported,
)
from repository.store import NO_SIZE, Version, check_name, check_prefix, check_within

TEMPORARY = ".upload-"
_FOLDER_MODE = 0o700
OBJECT_MODE = 0o600
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
CREATE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

# The one table from errno to error; what is not here is a plain StoreError. Rules: errno(3), link(2),
# fsync(2).
_ERRORS: dict[int, tuple[type[StoreError], str]] = {
    errno.ENOENT: (ObjectMissing, "run `strongroom check` to see what else is missing"),
    errno.ENOTDIR: (ObjectMissing, "run `strongroom check` to see what else is missing"),
    errno.EEXIST: (ObjectExists, ""),
    errno.ENOSPC: (StoreFull, "free some space or run `strongroom prune`; what is stored already is safe"),
    errno.EDQUOT: (StoreFull, "raise the quota or run `strongroom prune`; what is stored already is safe"),
    errno.EFBIG: (StoreFull, "the file system does not take files of this size"),
    errno.EACCES: (StoreDenied, "check who owns the repository's folder"),
    errno.EPERM: (
        StoreDenied,
        "check who owns the repository's folder, and that its file system has hard links",
    ),
    errno.EROFS: (StoreDenied, "the file system is mounted read-only"),
    errno.ELOOP: (StoreDenied, "a symbolic link stands where an object should be; remove it"),
    errno.EMLINK: (StoreUnsupported, "the file system has no hard links; choose another for the repository"),
    errno.EOPNOTSUPP: (
        StoreUnsupported,
        "the file system has no hard links; choose another for the repository",
    ),
    errno.EIO: (StoreUnreachable, "look at the disk's health"),
    errno.ESTALE: (StoreUnreachable, "check the mount of the repository's file system"),
    errno.ETIMEDOUT: (StoreUnreachable, "check the mount of the repository's file system"),
    errno.ENOTCONN: (StoreUnreachable, "check the mount of the repository's file system"),
    errno.EHOSTDOWN: (StoreUnreachable, "check the mount of the repository's file system"),
    errno.EAGAIN: (StoreUnreachable, ""),
    errno.EMFILE: (StoreUnreachable, "raise the limit of open files"),
    errno.ENFILE: (StoreUnreachable, "raise the limit of open files"),
    errno.ENOMEM: (StoreUnreachable, "free some memory"),
}


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Turn every OSError inside into the StoreError of the table.

    Raises:
        StoreError: or the subclass of it that the table has for the errno.
    """
    try:
        yield
    except OSError as error:
        kind, remedy = _ERRORS.get(error.errno or 0, (StoreError, ""))
        raise kind(f"{name}: {os.strerror(error.errno or 0)}", remedy=remedy) from error


class DirectoryReader:
    """Reads a repository in the folder `root`.

    Raises:
        StoreMissing: the folder is not there, so perhaps its file system is not mounted.
    """

    def __init__(self, root: Path) -> None:
        with translated(str(root)):
            if not root.is_dir():
                raise StoreMissing(f"there is no folder {root}", remedy="check the path and the mount")
        self._root = root

    def get(self, name: str, limit: int) -> bytes:
        """See ReadStore; what is larger than `limit` is refused before it is read."""
        with translated(name), self._opened(name) as (fd, size):
            if size > limit:
                raise ObjectDamaged(f"{name} has {size} bytes, more than the {limit} that its kind may have")
            return bytes(_fill(fd, name, 0, bytearray(size)))

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        """See ReadStore."""
        with translated(name), self._opened(name) as (fd, size):
            # Before the buffer is made, so that no length can ask for all memory.
            check_within(name, offset, length, size)
            return bytes(_fill(fd, name, offset, bytearray(length)))

    def read_into(self, name: str, offset: int, out: memoryview) -> None:
        """See ReadStore."""
        with translated(name), self._opened(name) as (fd, size):
            check_within(name, offset, len(out), size)
            _fill(fd, name, offset, out)

    def size(self, name: str) -> int:
        """See ReadStore."""
        with translated(name), self._opened(name) as (_, size):
            return size

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        """See ReadStore."""
        check_prefix(prefix)
        return self._below(prefix, after)

    def sizes(self, prefix: str, after: str = "") -> Iterator[tuple[str, int]]:
        """See ReadStore. A look at each file."""
        for name in self.list(prefix, after):
            try:
                yield name, self.size(name)
            except ObjectMissing:
                yield name, NO_SIZE

    def versions(self, prefix: str) -> Sequence[Version]:
        """See ReadStore. A folder keeps none."""
        check_prefix(prefix)
        return ()

    def _below(self, prefix: str, after: str) -> Iterator[str]:
        with translated(prefix):
            try:
                with os.scandir(self._root / prefix) as entries:
                    # A folder sorts as its names do: with the slash, which comes after "-" and before the
                    # digits.
                    found = sorted(
                        (entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name)
                        for entry in entries
                        if not entry.name.startswith(".") and not entry.is_symlink()
                    )
            except FileNotFoundError:
                return
        for name in found:
            whole = prefix + name
            if name.endswith("/"):
                # Not even opened when all that can be in it comes before `after`.
                if whole > after or after.startswith(whole):
                    yield from self._below(whole, after)
            elif whole > after:
                yield whole

    @contextmanager
    def _opened(self, name: str) -> Iterator[tuple[int, int]]:
        check_name(name)
        fd = os.open(self._root / name, _READ_FLAGS)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise ObjectMissing(f"{name} is not an object")
            yield fd, status.st_size
        finally:
            os.close(fd)


class DirectoryWriter(DirectoryReader):
    """Reads and creates. With `create`, makes the folder `root` first, for its owner only."""

    def __init__(self, root: Path, *, create: bool = False) -> None:
        if create:
            with translated(str(root)):
                make_folders(root)
        super().__init__(root)

    def put(self, name: str, parts: Sequence[Buffer]) -> None:
        """See WriteStore."""
        check_name(name)
        target = self._root / name
        with translated(name):
            place(target, lambda temporary: _write_file(temporary, parts))
            _sync_folder(target.parent)


class DirectoryPruner(DirectoryWriter):
    """Reads, creates and removes."""

    def delete(self, name: str) -> None:
        """See PruneStore."""
        check_name(name)
        target = self._root / name
        with translated(name):
            try:
                target.unlink()
            except FileNotFoundError:
                return
            _sync_folder(target.parent)

    def extend(self, name: str) -> bool:
        """See PruneStore. A folder has no lock."""
        self.size(name)
        return False

    def sweep(self, older_than_s: float) -> int:
        """See PruneStore."""
        limit = time.time() - older_than_s
        removed = 0
        with translated("unfinished uploads"):
            for folder, _, files in os.walk(self._root):
                for name in files:
                    if name.startswith(TEMPORARY):
                        removed += _remove_older(Path(folder, name), limit)
        return removed


def _remove_older(path: Path, limit: float) -> int:
    try:
        if path.lstat().st_mtime >= limit:
            return 0
        path.unlink()
    except FileNotFoundError:
        return 0  # its writer finished in between
    return 1


def _fill(fd: int, name: str, offset: int, out: bytearray | memoryview) -> bytearray | memoryview:
    view = memoryview(out)
    done = 0
    while done < len(view):
        count = os.preadv(fd, [view[done:]], offset + done)
        if count == 0:
            raise ObjectDamaged(f"{name} ends at byte {offset + done}, {len(view) - done} bytes early")
        done += count
    return out


def place(target: Path, write: Callable[[Path], None]) -> None:
    """Have a file written under a temporary name and give it its own, unless that is taken; nothing is synced.

    Args:
        write: makes the file of the path that it is given, in the folder of `target`.

    Raises:
        OSError: among them FileExistsError; nothing stays behind.
    """
    if not target.parent.is_dir():
        make_folders(target.parent)
    temporary = target.parent / f"{TEMPORARY}{secrets.token_hex(8)}"
    try:
        write(temporary)
        os.link(temporary, target, follow_symlinks=False)
    finally:
        temporary.unlink(missing_ok=True)


def write_parts(fd: int, parts: Sequence[Buffer]) -> int:
    """Write all parts, one after the other; returns how many bytes they are."""
    written = 0
    for part in parts:
        rest = memoryview(part)
        while rest:
            count = os.write(fd, rest)
            rest, written = rest[count:], written + count
    return written


def _write_file(path: Path, parts: Sequence[Buffer]) -> None:
    fd = os.open(path, CREATE_FLAGS, OBJECT_MODE)
    try:
        write_parts(fd, parts)
        os.fsync(fd)
    finally:
        os.close(fd)


def make_folders(folder: Path) -> None:
    """Like mkdir -p, each new folder for its owner only and synced into its parent."""
    if not folder.parent.is_dir():
        make_folders(folder.parent)
    try:
        folder.mkdir(_FOLDER_MODE)
    except FileExistsError:
        return
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
