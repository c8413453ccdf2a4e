"""From the files of a segment to chunks in packs: the hot path of a backup.

All new and changed files of a segment are one stream. Sources read straight into `space()`; when the buffer
is full, the chunks in it are cut, named, compared with the index, compressed and sealed into the pack, and
only the last, unfinished chunk is moved to the front. The bytes of a file are copied by the kernel once and
by nobody else.
"""

from bisect import bisect_right

import msgspec
from blake3 import blake3

from crypto.chunkid import ChunkIds
from repository.buffers import scratch
from repository.chunker import Chunker
from repository.compression import Compressor
from repository.index import ChunkIndex
from repository.manifest import PackSummary
from repository.pack import PackWriter
from repository.store import WriteStore

BUFFER = 16 << 20
_LOW = 64 << 10
"""Less space than this is not worth another read: cut first."""


class Mark(msgspec.Struct, frozen=True, gc=False):
    """Where a file is in the stream: positions in bytes, and BLAKE3 of what is between them (32 bytes)."""

    start: int
    end: int
    digest: bytes


class ChunkStream:
    """Takes the bytes of many files, one file after the other, and stores their chunks.

    Use: for each file `begin()`, then `space()`/`filled()` as often as needed, then `end()` or `rollback()`;
    at last `finish()`, and `extents()` for each mark.

    Args:
        store: where packs go.
        ids: names chunks.
        chunker: cuts chunks; seeded from the same key as `ids`.
        index: which chunks are stored already; learns the packs written here.
        packs: collects sealed chunks; must be empty.
        buffer: at least twice the largest chunk, from `buffers.scratch`; pass the same one again to spare the
            allocation.

    Raises:
        ValueError: the buffer is too small for the chunker's sizes.
    """

    def __init__(
        self,
        store: WriteStore,
        ids: ChunkIds,
        chunker: Chunker,
        index: ChunkIndex,
        packs: PackWriter,
        buffer: memoryview | bytearray | None = None,
    ) -> None:
        self._store = store
        self._ids = ids
        self._chunker = chunker
        self._index = index
        self._packs = packs
        self._compressor = Compressor()
        self._view = scratch(BUFFER) if buffer is None else memoryview(buffer)
        if len(self._view) < 2 * chunker.sizes.largest:
            raise ValueError(f"a buffer of {len(self._view)} bytes is too small for {chunker.sizes}")
        self._low = min(_LOW, chunker.sizes.smallest)
        self._pos = 0  # end of the bytes in the buffer
        self._base = 0  # stream position of the buffer's first byte
        self._begun = 0  # stream position of the current file's first byte
        self._hashed = 0  # stream position up to which the current file is hashed
        self._hasher: blake3 | None = None
        self._open = False  # between begin() and end()
        self._relied: set[bytes] = set()  # ids of the packs in `stored`
        self._starts: list[int] = []
        self.chunks: list[tuple[bytes, int]] = []
        """(chunk id, length) of the stream so far; complete after `finish`."""
        self.stored: list[PackSummary] = []
        """The packs that no index object names and that chunks of this stream are in: those written here, and
        those found from an attempt that died. All of them belong into the segment's Done."""
        self.bytes_read = 0
        self.bytes_stored = 0
        self.chunks_new = 0
        self.chunks_reused = 0

    def begin(self) -> None:
        """The bytes that follow are another file's."""
        self._begun = self._hashed = self._base + self._pos
        self._hasher = None
        self._open = True

    def space(self) -> memoryview:
        """Where the next bytes of the file go; never empty."""
        return self._view[self._pos :]

    def filled(self, count: int) -> None:
        """`count` bytes were put at the beginning of `space()`.

        Raises:
            StoreError, StrongroomError: a pack could not be stored, or the key is gone; the stream is of no
                use any more.
        """
        self._pos += count
        self.bytes_read += count
        if len(self._view) - self._pos < self._low:
            self._cut(final=False)

    def end(self) -> Mark:
        """The current file is complete."""
        end = self._base + self._pos
        if self._hasher is None:
            # The whole file is still in the buffer, as nearly all files are: one call, no state.
            digest = blake3(self._view[self._begun - self._base : self._pos]).digest()
        else:
            digest = self._hasher.update(self._view[self._hashed - self._base : self._pos]).digest()
        self._hashed = end
        self._open = False
        return Mark(self._begun, end, digest)

    def rollback(self, mark: Mark | None = None) -> bool:
        """Drop the bytes of the file that is open, or of the one that ended last, as if it had not begun.

        Args:
            mark: of the file that ended last; without it, only a file between `begin` and `end` is dropped,
                so that an error elsewhere cannot take away the bytes of a file that is complete.

        Returns:
            Whether they are gone. False when some are in a chunk already (they stay in the stream, and no
            file refers to them), and when there is nothing to drop.
        """
        last = self._open if mark is None else (mark.start, mark.end) == (self._begun, self._base + self._pos)
        self._open = False
        if not last or self._begun < self._base:
            return False
        self._pos = self._begun - self._base
        return True

    def relies_on(self, chunk_id: bytes, length: int) -> bool:
        """Whether a chunk of this id and length is stored; if so, a file of the segment may refer to it.

        Its pack goes into `stored` if no index object names it yet.
        """
        if chunk_id in self._packs:
            return True
        if not self._index.contains(chunk_id) or self._index.locate(chunk_id).raw_len != length:
            return False
        self._rely(self._index.unindexed_pack_of(chunk_id))
        return True

    def finish(self) -> list[tuple[bytes, int]]:
        """Cut the rest, store the last pack, and return `chunks`.

        Raises:
            StoreError, StrongroomError: as `filled`.
        """
        self._cut(final=True)
        self._flush()
        return self.chunks

    def extents(self, mark: Mark) -> list[int]:
        """Flat (chunk number, offset in the chunk, length) triples of a file, in order; after `finish` only."""
        at = mark.start
        if at == mark.end:
            return []
        number = bisect_right(self._starts, at) - 1
        start = self._starts[number]
        if mark.end <= start + self.chunks[number][1]:
            return [number, at - start, mark.end - at]  # as nearly all files are
        found: list[int] = []
        while at < mark.end:
            start = self._starts[number]
            stop = min(mark.end, start + self.chunks[number][1])
            found += (number, at - start, stop - at)
            at = stop
            number += 1
        return found

    def _cut(self, *, final: bool) -> None:
        view, pos = self._view, self._pos
        if self._open and self._hashed < self._base + pos:
            # Bytes of the current file are about to leave the buffer.
            self._hasher = self._hasher or blake3()
            self._hasher.update(view[self._hashed - self._base : pos])
            self._hashed = self._base + pos
        done = 0
        for offset, length in self._chunker.cut(view[:pos]):
            if not final and offset + length == pos:
                break
            self._starts.append(self._base + offset)
            self._chunk(view[offset : offset + length])
            done = offset + length
        if done:
            view[: pos - done] = view[done:pos]
            self._base += done
            self._pos = pos - done

    def _chunk(self, data: memoryview) -> None:
        chunk_id = self._ids.name(data)
        self.chunks.append((chunk_id, len(data)))
        if chunk_id in self._packs or self._index.contains(chunk_id):
            self.chunks_reused += 1
            self._rely(self._index.unindexed_pack_of(chunk_id))
            return
        codec, payload = self._compressor.compress(data)
        self.bytes_stored += self._packs.add(chunk_id, payload, len(data), codec)
        self.chunks_new += 1
        if self._packs.full:
            self._flush()

    def _flush(self) -> None:
        summary = self._packs.flush(self._store)
        if summary is not None:
            self._index.add_pack(summary)
            self._rely(summary)

    def _rely(self, pack: PackSummary | None) -> None:
        if pack is not None and pack.id not in self._relied:
            self._relied.add(pack.id)
            self.stored.append(pack)
