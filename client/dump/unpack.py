"""From pieces to a stream: every file in order, each byte held against the snapshot's digest.

What is in a parcel was authenticated before it gets here, chunk by chunk. A file that fits in its parcel is held
against its digest before a byte of it is written; a larger one while it is written, and the dump ends there if it is
not the same. A file of which nothing was written yet can be left out, and is named.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from blake3 import blake3

from client.dump.sink import Sink
from client.errors import ClientError, DumpBroken, EntryDamaged
from client.restore.chunks import SLOTS, ParcelChunks
from client.restore.entries import check_digest
from crypto.parcel import OpenParcel, Piece
from sources.filesystem.metadata import Meta
from sources.source import SourceError, order_key, shown
from sources.stored import file_meta

_AT_HAND: Final = SLOTS // 2
"""Extents up to this many are all in memory at once, so that the file can be verified before it is written."""
_ZEROS: Final = memoryview(bytes(1 << 20))
_CUT: Final = "the rest of it was not delivered"


class Unpacker:
    """Writes the pieces of parcel after parcel, which come in order, to a sink.

    Args:
        make_sink: makes it, from the first piece.
    """

    def __init__(self, make_sink: Callable[[Piece], Sink]) -> None:
        self._make_sink = make_sink
        self.sink: Sink | None = None
        self._chunks = ParcelChunks()
        self._done: tuple[bytes, int] = (b"", -1)
        self._file: _File | None = None
        self.failed: dict[bytes, str] = {}
        """What was left out, or is in doubt, and why."""
        self.files = self.byte_count = 0

    def take(self, parcel: OpenParcel) -> None:
        """Write all that a parcel holds.

        Raises:
            DumpBroken: a file that was begun cannot be ended.
            NotDumpable: see `make_sink`.
            OSError: from what is written to.
        """
        self._chunks.begin(parcel.table.chunks, parcel.payload)
        for piece in parcel.table.pieces:
            place = (order_key(piece.path), piece.part_offset)
            if place <= self._done:
                continue  # delivered again
            if self.sink is None:
                self.sink = self._make_sink(piece)
            try:
                if self._piece(self.sink, piece):
                    self._done = place
            except (SourceError, ClientError) as error:
                if self._file is not None:
                    raise DumpBroken(
                        f"{shown(self._file.path)}: {error.message}",
                        remedy="what was written is right, and not all of it; see what `strongroom check` says",
                    ) from error
                self.failed.setdefault(piece.path, error.message)
                self._done = place
        self._chunks.end()

    def finish(self, reasons: dict[bytes, str]) -> None:
        """Nothing more will come.

        Args:
            reasons: why the workers could not deliver something, by path.

        Raises:
            DumpBroken: a file was begun and did not end.
        """
        if self._file is not None:
            path = self._file.path
            raise DumpBroken(
                f"{shown(path)}: {reasons.get(path, _CUT)}", remedy="see what `strongroom check` says"
            )

    def _piece(self, sink: Sink, piece: Piece) -> bool:
        """Whether the entry is done with."""
        if self._file is not None and self._file.path != piece.path:
            raise EntryDamaged(_CUT)
        if piece.kind != "f":
            sink.other(piece, _meta(piece))
            self.files += piece.kind != "d"
            return True
        if len(piece.extents) % 3:
            raise EntryDamaged("its stored list of chunks is cut short")
        if self._file is None:
            if piece.part_offset or piece.data_offset:
                raise EntryDamaged("an earlier part of it was not delivered")
            if _is_at_hand(piece):
                self._whole(sink, piece)
                return True
            sink.begin(piece, _meta(piece))
            self._file = _File(piece)
        return self._grow(sink, self._file, piece)

    def _whole(self, sink: Sink, piece: Piece) -> None:
        views = list(self._views(piece))
        hasher = blake3()
        for view in views:
            hasher.update(view)
        check_digest(piece, hasher.digest(), sum(map(len, views)))
        sink.begin(piece, _meta(piece))
        for view in views:
            sink.write(view)
        self._end(sink, piece)

    def _grow(self, sink: Sink, file: "_File", piece: Piece) -> bool:
        for view in file.writes(piece, self._views(piece)):
            sink.write(view)
        if not piece.last:
            return False
        file.check(piece)
        for view in file.rest_of_part(piece):
            sink.write(view)
        if file.at < piece.size:
            self._verified(sink, piece)
            return True
        self._file = None
        self._end(sink, piece)
        return True

    def _end(self, sink: Sink, piece: Piece) -> None:
        self._verified(sink, piece)
        sink.end()
        self.files += 1
        self.byte_count += piece.size

    def _verified(self, sink: Sink, piece: Piece) -> None:
        try:
            sink.verified(piece)
        except EntryDamaged as error:
            self.failed.setdefault(piece.path, error.message)

    def _views(self, piece: Piece) -> Iterator[memoryview]:
        numbers = iter(piece.extents)
        for number, offset, length in zip(numbers, numbers, numbers, strict=True):
            yield self._chunks.view(number, offset, length)


class _File:
    """A file that is being written; `at`: how many of its bytes were, holes included."""

    def __init__(self, first: Piece) -> None:
        self.path = first.path
        self.at = 0
        self._size = first.size
        self._hasher = blake3()
        self._received = 0
        self._spans: list[tuple[int, int]] = []
        """Where the data to come belong, (offset, length), the next at the end."""

    def writes(self, piece: Piece, views: Iterable[memoryview]) -> Iterator[memoryview]:
        """What to write next for a piece: its data, and zeros for the holes before them.

        Raises:
            EntryDamaged: the piece does not follow on what came before, or does not fit into its file.
        """
        if not piece.data_offset and self._received == 0:
            if piece.part_offset != self.at or piece.size != self._size:
                raise EntryDamaged("an earlier part of it was not delivered")
            end = _end_of(piece)
            self._spans = list(reversed(piece.ranges)) or [(piece.part_offset, end - piece.part_offset)]
        elif piece.data_offset > self._received:
            raise EntryDamaged("an earlier part of it was not delivered")
        again = self._received - piece.data_offset
        for view in views:
            known = min(again, len(view))
            again -= known
            if known < len(view):
                yield from self._place(piece, view[known:])

    def check(self, piece: Piece) -> None:
        """Hold the part that ends with this piece against its digest.

        Raises:
            EntryDamaged: it is not what was backed up.
        """
        due = (
            sum(length for _, length in piece.ranges) if piece.ranges else _end_of(piece) - piece.part_offset
        )
        if self._received != due:
            raise EntryDamaged("its data does not have the length that the snapshot states")
        check_digest(piece, self._hasher.digest(), self._received)

    def rest_of_part(self, piece: Piece) -> Iterator[memoryview]:
        """The hole at the end of the part that was checked; then the next part may begin."""
        yield from self._zeros_to(_end_of(piece))
        self._hasher, self._received = blake3(), 0

    def _place(self, piece: Piece, view: memoryview) -> Iterator[memoryview]:
        self._hasher.update(view)
        while view:
            begin, room = self._spans.pop() if self._spans else (-1, 0)
            if begin < self.at or begin + room > _end_of(piece):
                raise EntryDamaged("its data does not fit its stored map of data and holes")
            yield from self._zeros_to(begin)
            count = min(room, len(view))
            self.at += count
            self._received += count
            if count < room:
                self._spans.append((begin + count, room - count))
            yield view[:count]
            view = view[count:]

    def _zeros_to(self, end: int) -> Iterator[memoryview]:
        while self.at < end:
            count = min(len(_ZEROS), end - self.at)
            self.at += count
            yield _ZEROS[:count]


def _end_of(piece: Piece) -> int:
    """Where in the file the entry of a piece ends, never behind the file's end."""
    return piece.size if piece.part_length < 0 else min(piece.size, piece.part_offset + piece.part_length)


def _is_at_hand(piece: Piece) -> bool:
    complete = piece.last and not piece.data_offset and piece.part_length < 0 and not piece.ranges
    return complete and len(piece.extents) <= 3 * _AT_HAND


def _meta(piece: Piece) -> Meta:
    meta = file_meta(piece.meta, piece.path)
    if meta.kind != piece.kind:
        raise EntryDamaged("its stored metadata is that of another kind of thing")
    return meta
