"""From pieces to files: the hot path of a restore, one for each opener process.

A whole file that fits in its parcel, which nearly all do, is verified before it is written. Whatever cannot be
delivered is named with a reason, and the rest goes on.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from blake3 import blake3

from client.errors import ClientError, EntryDamaged
from client.restore.chunks import SLOTS, ParcelChunks
from client.restore.entries import GrowingEntry, check_digest
from client.restore.messages import LinkName, Part, SegmentReport
from crypto.parcel import OpenParcel, Piece
from sources.filesystem.metadata import Meta
from sources.filesystem.write import TreeWriter
from sources.source import SourceError
from sources.stored import file_meta

_AT_HAND: Final = SLOTS // 2
"""Extents up to this many are all in memory at once, so that the file can be verified before it is written."""

_EntryKey = tuple[bytes, int]


class Assembler:
    """Writes the pieces of parcel after parcel below `staging`.

    Args:
        staging: an empty folder of ours.
        strip: the path that the person asked for; its content lands in the folder itself.
    """

    def __init__(self, staging: Path, strip: bytes) -> None:
        self._staging, self._strip = staging, strip
        self._writer = TreeWriter(staging, strip)
        self._chunks = ParcelChunks()
        self._growing: dict[_EntryKey, GrowingEntry] = {}
        self._segments: dict[int, _Segment] = {}

    def take(self, segment: int, parcel: OpenParcel) -> tuple[int, int]:
        """Write all that a parcel holds; what cannot be written is remembered for `end_segment`.

        Returns:
            How many files it completed, and how many bytes of content it wrote.
        """
        state = self._segments.setdefault(segment, _Segment())
        self._chunks.begin(parcel.table.chunks, parcel.payload)
        files = byte_count = 0
        for piece in parcel.table.pieces:
            key = (piece.path, piece.part_offset)
            if key in state.done:
                continue
            try:
                if piece.kind == "f":
                    byte_count += self._file(state, key, piece)
                    files += piece.last and piece.part_length < 0  # the finisher counts what came in parts
                else:
                    files += self._other(state, piece)
                if piece.last:
                    state.done.add(key)
                    if state.failed and piece.part_length < 0:
                        state.failed.pop(piece.path, None)  # an earlier delivery of it was damaged
            except (SourceError, ClientError) as error:
                self._abandon(key)
                state.fail(piece.path, _reason(error))
                if piece.part_length >= 0:
                    state.begun(key)
        self._chunks.end()
        return files, byte_count

    def end_segment(self, segment: int) -> SegmentReport:
        """What the segment came to; entries whose end never came are removed and named."""
        state = self._segments.pop(segment, _Segment())
        for key in [key for key in self._growing if key in state.started]:
            is_part = self._growing[key].is_part
            self._abandon(key)
            state.fail(key[0], "its end was not delivered")
            if is_part:
                state.begun(key)
        return SegmentReport(
            segment,
            tuple(state.failed.items()),
            tuple(state.notes),
            tuple(state.dirs),
            tuple(state.links),
            tuple(state.parts),
        )

    def close(self) -> None:
        """Remove what is unfinished and close the target."""
        for key in list(self._growing):
            self._abandon(key)
        self._writer.close()

    def _file(self, state: "_Segment", key: _EntryKey, piece: Piece) -> int:
        extents = piece.extents
        whole = piece.last and not piece.data_offset and piece.part_length < 0 and not piece.ranges
        if whole and len(extents) == 3:
            view = self._chunks.view(*extents)
            check_digest(piece, blake3(view).digest(), len(view))
            self._write(state, piece, (view,))
            return len(view)
        if len(extents) % 3:
            raise EntryDamaged("its stored list of chunks is cut short")
        if whole and len(extents) <= 3 * _AT_HAND:
            views = list(self._views(extents))
            hasher = blake3()
            for view in views:
                hasher.update(view)
            length = sum(map(len, views))
            check_digest(piece, hasher.digest(), length)
            self._write(state, piece, views)
            return length
        return self._grow(state, key, piece)

    def _write(self, state: "_Segment", piece: Piece, views: Sequence[memoryview]) -> None:
        meta = _meta(piece)
        notes = self._writer_for(piece).write_file(piece.path, meta, views)
        if notes:
            state.notes += notes
        if meta.nlink > 1:
            state.add_link(piece, meta)

    def _grow(self, state: "_Segment", key: _EntryKey, piece: Piece) -> int:
        if not piece.data_offset:
            self._abandon(key)  # a segment that is delivered again begins again
            state.started.add(key)
            self._growing[key] = GrowingEntry(self._writer_for(piece), piece)
        entry = self._growing.get(key)
        if entry is None or entry.received != piece.data_offset:
            raise EntryDamaged("an earlier part of it was not delivered")
        before = entry.received
        entry.write(self._views(piece.extents))
        if piece.last:
            entry.check(piece)
            self._complete(state, key, piece)
        return entry.received - before

    def _complete(self, state: "_Segment", key: _EntryKey, piece: Piece) -> None:
        meta = _meta(piece)
        entry = self._growing[key]
        if entry.is_part:
            state.parts.append(Part(piece.path, piece.size, piece.part_offset, piece.part_length, piece.meta))
            os.close(entry.release())
        else:
            state.notes += self._writer.finish_file(entry.release(), piece.path, meta)
        del self._growing[key]
        if meta.nlink > 1:
            state.add_link(piece, meta)

    def _views(self, extents: tuple[int, ...]) -> Iterator[memoryview]:
        numbers = iter(extents)
        for number, offset, length in zip(numbers, numbers, numbers, strict=True):
            yield self._chunks.view(number, offset, length)

    def _other(self, state: "_Segment", piece: Piece) -> int:
        """A directory (counts as no file), link, FIFO or device."""
        meta = _meta(piece)
        if piece.kind == "d":
            self._writer.make_dir(piece.path, meta)
            state.dirs.append((piece.path, piece.meta))
            return 0
        state.notes += self._writer_for(piece).make_node(piece.path, meta)
        if meta.nlink > 1:
            state.add_link(piece, meta)
        return 1

    def _writer_for(self, piece: Piece) -> TreeWriter:
        if piece.path == self._strip:  # a single file was asked for: it lands under its own name
            self._writer.close()
            self._strip = self._strip.rpartition(b"/")[0]
            self._writer = TreeWriter(self._staging, self._strip)
        return self._writer

    def _abandon(self, key: _EntryKey) -> None:
        entry = self._growing.pop(key, None)
        if entry is not None:
            entry.abandon()


class _Segment:
    """What is known of a segment until it ends."""

    def __init__(self) -> None:
        self.done: set[_EntryKey] = set()
        self.started: set[_EntryKey] = set()
        self.failed: dict[bytes, str] = {}
        self.notes: list[tuple[bytes, str]] = []
        self.dirs: list[tuple[bytes, bytes]] = []
        self.links: list[LinkName] = []
        self.parts: list[Part] = []

    def fail(self, path: bytes, why: str) -> None:
        self.failed.setdefault(path, why)

    def begun(self, key: _EntryKey) -> None:
        """A part that failed: told as one without length, or the finisher would not know of a file with no other."""
        self.parts.append(Part(key[0], 0, key[1], 0, b""))

    def add_link(self, piece: Piece, meta: Meta) -> None:
        self.links.append(LinkName(piece.path, meta.dev, meta.ino, piece.size, piece.digest))


def _meta(piece: Piece) -> Meta:
    meta = file_meta(piece.meta, piece.path)
    if meta.kind != piece.kind:
        raise EntryDamaged("its stored metadata is that of another kind of thing")
    return meta


def _reason(error: SourceError | ClientError) -> str:
    return error.message
