"""The delivery area: where restore workers put parcels, and from where the command takes them away.

It is a folder of the home, or any place that the settings name, such as a prefix in a bucket. Each job has a folder
there. For as long as it lives, its command also holds a lock on a folder of that name in the home, which says where the
area is: a folder whose lock is free belongs to a command that died, and the next one removes what is left in both
places, and a later one what workers have sent all the same until they stopped. What is not named like a job, or says
no area, is nobody's to remove. Parcels are sealed; what they cost is space.
"""

import fcntl
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from client.arguments import repository_uri
from client.errors import BadArgument
from client.installation import Installation
from config.errors import ConfigError
from config.home import OWNER_ONLY_DIR, OWNER_ONLY_FILE
from config.settings import StoreSettings
from crypto.errors import Malformed
from crypto.parcel import MAX_PARCEL
from repository.buffers import Reused
from repository.errors import StoreError
from repository.place import MAX_URI, FolderPlace, parse_place
from repository.store import PruneStore
from repository.stores import open_pruner, open_writer

_AREA: Final = ".area"
"""In a job's folder in the home: the URI of the area, when that is elsewhere."""
_CLEARED: Final = ".cleared"
"""Beside it: made when the area was cleared the first time after the command's end."""
SETTLE_S: Final = 180.0
"""A worker that was not told stops, and has sent what it was sending, before so long after that."""
_JOB: Final = re.compile(r"[0-9a-f]{32}")
_CLEARING_S: Final = 5.0


def parcel_name(job: bytes, segment: int, sequence: int) -> str:
    """The object of one parcel."""
    return f"{job.hex()}/{segment}-{sequence}"


def area_of(installation: Installation) -> str:
    """URI of the area that this installation's commands have parcels delivered to.

    Raises:
        ConfigError: the setting names no place.
    """
    area = installation.settings.delivery.area
    try:
        return repository_uri(area) if area else installation.home.delivery.as_uri()
    except BadArgument as error:
        raise ConfigError(f"delivery.area: {error.message}", remedy=error.remedy) from error


def delivering_to(installation: Installation, area: str) -> Installation:
    """The installation, but with another area (a URI of `repository_uri`)."""
    delivery = msgspec.structs.replace(installation.settings.delivery, area=area)
    return replace(installation, settings=msgspec.structs.replace(installation.settings, delivery=delivery))


@contextmanager
def delivery_area(
    installation: Installation, job: bytes, is_over: Callable[[], bool] = lambda: True
) -> Iterator[str]:
    """Make the folder of a job, and remove it with all that is in it in the end. Yields the area's URI.

    Args:
        is_over: asked in the end, unless by an error: whether no worker delivers for the job any more.

    Raises:
        StoreError: the area cannot be opened.
    """
    home, settings = installation.home, installation.settings.store
    area = area_of(installation)
    home.delivery.mkdir(OWNER_ONLY_DIR, parents=True, exist_ok=True)
    _sweep(home.delivery, settings)
    folder = home.delivery / job.hex()
    lock = _claim(folder)
    over = True
    try:
        if area != home.delivery.as_uri():
            _remember(folder / _AREA, area)
            # Makes a missing folder; and whatever opening the area needs is loaded before openers are forked.
            open_writer(area, settings, create=isinstance(parse_place(area), FolderPlace))
        over = False
        yield area
        over = is_over()
    finally:
        _remove(folder, settings, over=over)
        os.close(lock)


def _claim(folder: Path) -> int:
    """Make the folder and lock it; returns the lock. Another command's sweep may find it before it is locked."""
    while True:
        folder.mkdir(OWNER_ONLY_DIR, exist_ok=True)
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.fstat(lock).st_nlink:
                return lock
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)


def _sweep(deliveries: Path, settings: StoreSettings) -> None:
    for folder in deliveries.iterdir():
        if not _JOB.fullmatch(folder.name):
            continue
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue  # not a folder, or removed by its own command just now
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(folder, settings, over=_has_settled(folder))
        except BlockingIOError:
            pass  # its command lives
        finally:
            os.close(descriptor)


def _remember(path: Path, area: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY_FILE), "w") as file:
        file.write(area)


def _has_settled(folder: Path) -> bool:
    try:
        return time.time() - (folder / _CLEARED).lstat().st_mtime > SETTLE_S
    except FileNotFoundError:
        return False


def _remove(folder: Path, settings: StoreSettings, *, over: bool) -> None:
    """Remove a job's folder, and its parcels elsewhere; what cannot be reached is left to the next command.

    Args:
        over: whether no more parcels can come. If they can, what says where they lie is left to a later command.
    """
    try:
        area = _area_in(folder)
        if area:
            _clear(area, folder.name, settings)
            if not over:
                with suppress(FileExistsError):  # its time counts from the first time
                    (folder / _CLEARED).touch(OWNER_ONLY_FILE, exist_ok=False)
                return
    except (OSError, ValueError, StoreError):
        return
    shutil.rmtree(folder, ignore_errors=True)


def _area_in(folder: Path) -> str:
    """The URI that `_remember` has written there; empty when the home's own folder is the area.

    Raises:
        OSError, ValueError: something else is there.
    """
    try:
        fd = os.open(folder / _AREA, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ValueError("not a file")
        return file.read(MAX_URI + 1).decode()


def _clear(area: str, job: str, settings: StoreSettings) -> None:
    place = parse_place(area)
    if isinstance(place, FolderPlace):
        shutil.rmtree(place.path / job, ignore_errors=True)
        return
    # Not for long: a store that is away must not hold up every command until it is back.
    store = open_pruner(
        area, msgspec.structs.replace(settings, deadline_s=min(_CLEARING_S, settings.deadline_s))
    )
    for name in store.list(f"{job}/"):
        store.delete(name)


class ParcelReader:
    """Reads parcels into one reused buffer. One for each process.

    Args:
        uri: of the delivery area.
        job: whose parcels.
        settings: of stores.

    Raises:
        StoreError: the area cannot be opened.
    """

    def __init__(self, uri: str, job: bytes, settings: StoreSettings = StoreSettings()) -> None:  # noqa: B008
        self._store: PruneStore = open_pruner(uri, settings, handover=True)
        self._job = job
        self._buffer = Reused()

    def read(self, segment: int, sequence: int) -> memoryview:
        """A whole parcel, as it lies there; good until the next call.

        Raises:
            ObjectMissing: it is not there.
            Malformed: it is larger than parcels may be.
            StoreError: it cannot be read.
        """
        name = parcel_name(self._job, segment, sequence)
        size = self._store.size(name)
        if size > MAX_PARCEL:
            raise Malformed("a parcel is too large")
        view = self._buffer.take(size)
        self._store.read_into(name, 0, view)
        return view

    def remove(self, segment: int, sequence: int) -> None:
        """Remove a parcel that is done with; what cannot be removed now is removed when the job ends."""
        with suppress(StoreError):
            self._store.delete(parcel_name(self._job, segment, sequence))
