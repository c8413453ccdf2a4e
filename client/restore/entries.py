"""Entries that come in several pieces: a file that one parcel cannot hold, a sparse file, a part of a huge one.

Their data comes in order. Each byte is hashed as it is written, and what does not add up is removed again.
"""

import os
from collections.abc import Iterable
from typing import Final

from blake3 import blake3

from client.errors import EntryDamaged
from crypto.parcel import Piece
from sources.filesystem.write import TreeWriter
from sources.source import unwritable, without_path

_NO_END: Final = 1 << 62


class GrowingEntry:
    """One entry that is being written; `path` has a descriptor open until `finish` or `abandon`.

    Args:
        writer: of the target.
        piece: the entry's first piece.

    Raises:
        EntryDamaged: its map of data and holes does not fit its size; no file was made.
        SourceError: the file cannot be made.
    """

    def __init__(self, writer: TreeWriter, piece: Piece) -> None:
        self.is_part = piece.part_length >= 0
        self.path = piece.path
        self._writer = writer
        self._hasher = blake3()
        self._received = 0
        self._spans: list[tuple[int, int]] = list(reversed(piece.ranges)) or [(piece.part_offset, _NO_END)]
        self._due = sum(length for _, length in piece.ranges) if piece.ranges else -1
        if any(offset < 0 or length < 0 or offset + length > piece.size for offset, length in piece.ranges):
            raise EntryDamaged("its stored map of data and holes does not fit its size")
        if self.is_part:
            self._fd = writer.open_part(piece.path, piece.size)
        else:
            self._fd = writer.open_file(piece.path, piece.size if piece.ranges else 0)

    @property
    def received(self) -> int:
        """Bytes of data written so far."""
        return self._received

    def write(self, views: Iterable[memoryview]) -> None:
        """Write the entry's next data.

        Raises:
            EntryDamaged: more data than the entry has room for.
            SourceError: the system refuses.
            ChunkUnusable: from `views`.
        """
        for view in views:
            self._hasher.update(view)
            self._received += len(view)
            try:
                self._place(view)
            except OSError as error:
                raise unwritable(self.path, error) from without_path(error)

    def _place(self, view: memoryview) -> None:
        while view:
            if not self._spans:
                raise EntryDamaged("it holds more data than its stored map of data and holes")
            offset, room = self._spans.pop()
            count = os.pwrite(self._fd, view[:room], offset) if room else 0
            if count < room:
                self._spans.append((offset + count, room - count))
            view = view[count:]

    def check(self, piece: Piece) -> None:
        """Hold what was written against the digest in the entry's last piece.

        Raises:
            EntryDamaged: it is not what was backed up.
        """
        if self._due >= 0 and self._received != self._due:
            raise EntryDamaged("its data does not have the length that the snapshot states")
        check_digest(piece, self._hasher.digest(), self._received)

    def release(self) -> int:
        """The descriptor, which is the caller's from now on."""
        fd, self._fd = self._fd, -1
        return fd

    def abandon(self) -> None:
        """Close the descriptor, and remove the file unless other segments write it as well."""
        if self._fd >= 0:
            os.close(self.release())
        if not self.is_part:
            self._writer.discard(self.path)


def check_digest(piece: Piece, digest: bytes, length: int) -> None:
    """Hold an entry's data against its last piece; an entry without data has no digest.

    Raises:
        EntryDamaged: it is not what was backed up.
    """
    if piece.digest:
        if digest != piece.digest:
            raise EntryDamaged("its content is not what was backed up (the digest differs)")
    elif length or (piece.size and not piece.ranges and piece.part_length < 0):
        raise EntryDamaged("its content cannot be verified (the snapshot has no digest of it)")
