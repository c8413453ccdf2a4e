"""A private folder with generations of a cache, each a folder, and a file `current` that names the one that counts.

A generation that is of no use is forgotten; processes that still have it open keep what they mapped.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from repository.errors import CacheUnusable

_CURRENT: Final = "current"
_NAME: Final = 16


class Generations:
    """The generations of one cache.

    Args:
        folder: made when it is needed, for us alone; on a local disk.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Be the one process of the host that changes the cache; the others wait, and find it done.

        Raises:
            CacheUnusable: the folder cannot be made or written, or is not ours alone.
        """
        try:
            make_private(self.folder)
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise unusable(error.strerror) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def current(self) -> str:
        """The generation that counts; empty if there is none, or if others could have put it there."""
        if not _is_private(self.folder):
            return ""
        try:
            with (self.folder / _CURRENT).open("rb") as file:
                name = file.read(_NAME + 1)
        except OSError:
            return ""
        return name.decode() if len(name) == _NAME and name.isalnum() and name.isascii() else ""

    def new(self) -> str:
        """Make the folder of a generation that does not count yet, and clear away what dead processes left.

        Raises:
            OSError: the system refuses.
        """
        self._sweep(self.current())
        generation = os.urandom(_NAME // 2).hex()
        (self.folder / generation).mkdir(mode=0o700)
        return generation

    def publish(self, generation: str) -> None:
        """Let a generation count, durably, and remove the others.

        Raises:
            OSError: the system refuses.
        """
        new = self.folder / "current.new"
        with new.open("w") as file:
            file.write(generation)
            file.flush()
            os.fsync(file.fileno())
        new.rename(self.folder / _CURRENT)
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._sweep(generation)

    def forget(self, generation: str) -> None:
        """Let it count no more."""
        with suppress(OSError):
            if self.current() == generation:
                (self.folder / _CURRENT).unlink(missing_ok=True)

    def remove(self, generation: str) -> None:
        """Remove one that never counted."""
        shutil.rmtree(self.folder / generation, ignore_errors=True)

    def _sweep(self, keep: str) -> None:
        for entry in self.folder.iterdir():
            if entry.is_dir() and entry.name != keep:
                shutil.rmtree(entry, ignore_errors=True)


def unusable(why: str | None) -> CacheUnusable:
    """The error that says why the system refuses."""
    return CacheUnusable(
        f"the cache of this host cannot be used: {why}",
        remedy="see to the disk that holds the folder `cache`",
    )


def make_private(folder: Path) -> None:
    """Make the folder and those above it, each for us alone.

    Raises:
        CacheUnusable: it was there, and others may look in or write.
        OSError: the system refuses.
    """
    if not folder.parent.exists():
        make_private(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    if not _is_private(folder):
        raise unusable(f"{folder.name} is not ours alone")


def _is_private(folder: Path) -> bool:
    try:
        found = folder.stat()
    except OSError:
        return False
    return found.st_uid == os.geteuid() and not found.st_mode & 0o077
