"""A folder for what one run of a job needs on disk and nobody afterwards; the next removes what a killed run left."""

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from repository.cache.generations import make_private
from repository.errors import CacheUnusable

logger = logging.getLogger(__name__)


@contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """A private folder below `parent`, held while the block runs, then removed.

    On a disk that cannot be used it is not there: who needs little of it does without.
    """
    folder = parent / os.urandom(8).hex()
    lock = _hold(parent, folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _hold(parent: Path, folder: Path) -> int | None:
    """Make the folder and lock it, so that no other run takes it for one of a dead process."""
    try:
        make_private(parent)
        guard = _opened(parent)
    except (OSError, CacheUnusable) as error:
        logger.warning("without a disk to sort on: %s", error)
        return None
    try:
        fcntl.flock(guard, fcntl.LOCK_EX)
        _sweep(parent)
        folder.mkdir(mode=0o700)
        lock = _opened(folder)
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError as error:
        logger.warning("without a disk to sort on: %s", error.strerror)
        return None
    finally:
        os.close(guard)
    return lock


def _sweep(parent: Path) -> None:
    for entry in parent.iterdir():
        with suppress(OSError):
            lock = _opened(entry)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(entry, ignore_errors=True)
            finally:
                os.close(lock)


def _opened(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
