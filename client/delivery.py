"""The delivery area: where restore workers put parcels, and from where the command takes them away.

Each job has a folder there, and its command holds a lock on it for as long as it lives: a folder whose lock is free
belongs to a command that died, and the next one removes it. Parcels are sealed; what they cost is space.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from client.arguments import folder_of
from config.home import OWNER_ONLY_DIR, Home
from crypto.errors import Malformed
from crypto.parcel import MAX_PARCEL
from repository.store import ReadStore
from repository.stores import open_reader


def parcel_name(job: bytes, segment: int, sequence: int) -> str:
    """The object of one parcel."""
    return f"{job.hex()}/{segment}-{sequence}"


@contextmanager
def delivery_area(home: Home, job: bytes) -> Iterator[str]:
    """Make the folder of a job, and remove it with all that is in it in the end. Yields the area's URI."""
    home.delivery.mkdir(OWNER_ONLY_DIR, parents=True, exist_ok=True)
    _sweep(home.delivery)
    folder = home.delivery / job.hex()
    folder.mkdir(OWNER_ONLY_DIR)
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield home.delivery.as_uri()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _sweep(area: Path) -> None:
    for folder in area.iterdir():
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue  # not a folder, or removed by its own command just now
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            pass  # its command lives
        finally:
            os.close(descriptor)


class ParcelReader:
    """Reads parcels into one reused buffer. One for each process.

    Args:
        uri: of the delivery area.
        job: whose parcels.

    Raises:
        StoreError: the area cannot be opened.
    """

    def __init__(self, uri: str, job: bytes) -> None:
        self._store: ReadStore = open_reader(uri)
        self._folder = folder_of(uri)
        self._job = job
        self._buffer = bytearray()

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
        if size > len(self._buffer):
            self._buffer = bytearray(size)
        view = memoryview(self._buffer)[:size]
        self._store.read_into(name, 0, view)
        return view

    def remove(self, segment: int, sequence: int) -> None:
        """Remove a parcel that is done with.

        Not through the store, whose deletes are durable: syncing a folder would write out every restored file first.
        """
        with suppress(FileNotFoundError):
            (self._folder / parcel_name(self._job, segment, sequence)).unlink()
