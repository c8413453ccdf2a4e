"""Uploads in parts: the unfinished ones of a restore, and an object that comes in pieces and leaves in parts."""

import fcntl
import os
import shutil
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import msgspec
from blake3 import blake3

from client.errors import EntryDamaged
from client.restore.entries import check_digest
from crypto.parcel import Piece
from sources.s3.metadata import ObjectMeta
from sources.s3.write import ObjectWriter, part_size


class _Upload(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    key: str
    id: str


class Uploads:
    """The unfinished uploads of one restore, in a folder that its processes share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def join(self, writer: ObjectWriter, path: bytes, key: str, meta: ObjectMeta) -> tuple[str, list[str]]:
        """The upload of an object, begun by whichever process comes first; notes of that one only."""
        fd = os.open(self._file(key), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            known = file.read()
            if known:
                return msgspec.json.decode(known, type=_Upload).id, []
            upload, notes = writer.begin(path, key, meta)
            file.write(msgspec.json.encode(_Upload(key, upload)))
            return upload, notes

    def take(self, key: str) -> str:
        """The id of an upload that is about to be completed.

        Raises:
            EntryDamaged: there is none.
        """
        try:
            return msgspec.json.decode(self._file(key).read_bytes(), type=_Upload).id
        except (OSError, msgspec.MsgspecError) as error:
            raise EntryDamaged("its upload was not begun") from error

    def forget(self, key: str) -> None:
        """It is complete, or removed."""
        self._file(key).unlink(missing_ok=True)

    def left(self) -> list[tuple[str, str]]:
        """Keys and ids of those that were begun and not forgotten."""
        found = []
        for file in sorted(self._folder.glob("*")):
            with suppress(OSError, msgspec.MsgspecError):
                upload = msgspec.json.decode(file.read_bytes(), type=_Upload)
                found.append((upload.key, upload.id))
        return found

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _file(self, key: str) -> Path:
        return self._folder / blake3(key.encode("utf-8", "surrogatepass")).hexdigest()


class GrowingObject:
    """An object, or a part of a huge one, that comes in several pieces; verified at its end, sent on the way."""

    def __init__(
        self, writer: ObjectWriter, pool: ThreadPoolExecutor, piece: Piece, key: str, upload: str
    ) -> None:
        self._writer, self._pool = writer, pool
        self.path, self.key, self.upload = piece.path, key, upload
        self.received = 0
        self._size = part_size(piece.size)
        self._start = piece.part_offset
        self._hasher = blake3()
        self._held = bytearray()
        self._sent: list[Future[None]] = []

    def write(self, views: Iterable[memoryview]) -> None:
        """Take the next bytes."""
        for view in views:
            self._hasher.update(view)
            self._held += view
            self.received += len(view)
            while (
                len(self._held) >= 2 * self._size
            ):  # what is left in the end is no smaller than a part may be
                self._send(self._size)

    def end(self, piece: Piece) -> None:
        """Verify all of it, and see to it that all is sent.

        Raises:
            EntryDamaged: it is not what was backed up.
            SourceError: it could not be sent.
        """
        check_digest(piece, self._hasher.digest(), self.received)
        if self._held:
            self._send(len(self._held))
        for sent in self._sent:
            sent.result()

    def stop(self) -> None:
        """Wait for what is under way."""
        for sent in self._sent:
            sent.cancel()
            with suppress(Exception):
                sent.result()

    def _send(self, length: int) -> None:
        # Parts are at least so far apart, also those of other pieces of the object: no number is taken twice.
        number = 1 + self._start // self._size
        data = bytes(self._held[:length])
        del self._held[:length]
        self._start += length
        if len(self._sent) > 1:
            self._sent.pop(0).result()
        self._sent.append(
            self._pool.submit(self._writer.send, self.path, self.key, self.upload, number, data)
        )
