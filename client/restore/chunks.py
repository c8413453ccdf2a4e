"""The chunks of one parcel, decompressed into a few buffers that are used again and again.

A chunk is decompressed when the first entry needs it. However well a parcel compresses, no more than `SLOTS` plain
chunks are in memory; entries follow each other in the order of the chunks, so that hardly any is opened twice.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Final

import zstandard

from client.errors import ChunkUnusable
from crypto.parcel import ChunkInfo
from repository.buffers import scratch

SLOTS: Final = 4
MAX_CHUNK: Final = 4 << 20
"""No vault has longer chunks (docs/format.md, "Chunks")."""
RAW: Final = 0
ZSTD: Final = 1
"""Codecs of a chunk (docs/format.md, "Compression")."""


class ParcelChunks:
    """Plain bytes of a parcel's chunks. One for each process, given parcel after parcel; not for several threads."""

    def __init__(self) -> None:
        self._zstd = zstandard.ZstdDecompressor()
        self._slots: list[memoryview] = []
        self._free: list[memoryview] = []
        self._recent: dict[int, memoryview] = {}
        """The slot of each chunk that is decompressed, the one that was asked for last at the end."""
        self._views: dict[int, memoryview] = {}
        self._chunks: Sequence[ChunkInfo] = ()
        self._starts: list[int] = []
        self._payload = memoryview(b"")

    def begin(self, chunks: Sequence[ChunkInfo], payload: memoryview) -> None:
        """Turn to the next parcel: its chunks lie one after another in `payload`."""
        self._views.clear()
        self._recent.clear()
        self._free = list(self._slots)
        self._chunks, self._payload = chunks, payload
        self._starts = [0, *accumulate(chunk.length for chunk in chunks)]

    def end(self) -> None:
        """Let go of the parcel's memory."""
        self.begin((), memoryview(b""))

    def view(self, number: int, offset: int, length: int) -> memoryview:
        """`length` plain bytes of chunk `number` from `offset`; good until `SLOTS` other chunks were asked for.

        Raises:
            ChunkUnusable: no such chunk, it does not decompress, or it ends before that.
        """
        chunk = self._views.get(number)
        if chunk is None:
            chunk = self._open(number)
        elif (slot := self._recent.pop(number, None)) is not None:
            self._recent[number] = slot
        if offset < 0 or length < 0 or offset + length > len(chunk):
            raise ChunkUnusable("the parcel refers to bytes beyond the end of a chunk")
        return chunk[offset : offset + length]

    def _open(self, number: int) -> memoryview:
        if not 0 <= number < len(self._chunks):
            raise ChunkUnusable("the parcel refers to a chunk that it does not hold")
        codec, raw_length = self._chunks[number].codec, self._chunks[number].raw_length
        data = self._payload[self._starts[number] : self._starts[number + 1]]
        if not 0 <= raw_length <= MAX_CHUNK:
            raise ChunkUnusable("a chunk is longer than chunks may be")
        if codec == RAW:
            if len(data) != raw_length:
                raise ChunkUnusable("a chunk does not have the length that its table states")
            self._views[number] = data
            return data
        if codec != ZSTD:
            raise ChunkUnusable(
                f"codec {codec} is not known here", remedy="use a newer release of Strongroom"
            )
        slot = self._slot()
        view = slot[:raw_length]
        try:
            self._decompress(data, view)
        except BaseException:
            self._free.append(slot)
            raise
        self._views[number], self._recent[number] = view, slot
        return view

    def _slot(self) -> memoryview:
        """A buffer to decompress into: that of the chunk which nobody has asked for the longest, if all are in use."""
        if self._free:
            return self._free.pop()
        if len(self._slots) < SLOTS:
            self._slots.append(scratch(MAX_CHUNK))
            return self._slots[-1]
        oldest = next(iter(self._recent))
        del self._views[oldest]
        return self._recent.pop(oldest)

    def _decompress(self, data: memoryview, out: memoryview) -> None:
        try:
            if zstandard.frame_content_size(data) != len(out):
                raise ChunkUnusable("a chunk does not have the length that its table states")
            # The whole frame is at hand and fits, so zstd decompresses straight into `out`.
            got = self._zstd.stream_reader(data).readinto(out) if len(out) else 0
        except zstandard.ZstdError as error:
            raise ChunkUnusable("a chunk does not decompress") from error
        if got != len(out):
            raise ChunkUnusable("a chunk ends early")
