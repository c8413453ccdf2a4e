"""Puts a segment's manifest together from what was read anew and what is kept from the previous snapshot."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from repository.cache.files import Extent
from repository.index import ChunkIndex
from repository.layout import CHUNK_ID
from repository.manifest import WHOLE, Entry, EntryKey, FileKind, Manifest, ManifestRef, StoredManifest
from repository.patch import base_ref
from repository.stream import ChunkStream, Mark


class Described(NamedTuple):
    """One path as the source found it; fields as in `manifest.Entry`."""

    path: bytes
    kind: FileKind
    size: int
    stamp: bytes
    meta: bytes
    ranges: Sequence[tuple[int, int]] = ()
    part_offset: int = 0
    part_length: int = WHOLE


class _Kept(NamedTuple):
    extents: list[int]  # chunk numbers count in the builder's table of kept chunks
    digest: bytes


class ManifestBuilder:
    """Collects entries in path order; extents get their chunk numbers at the end, when the stream is cut."""

    def __init__(self) -> None:
        self._pending: list[tuple[Described, Mark | _Kept | None]] = []
        self._numbers: dict[bytes, int] = {}
        self._lengths: list[int] = []

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, found: Described, mark: Mark | None = None) -> None:
        """A path described anew; `mark` is where its data are in the stream (None for what has none)."""
        self._pending.append((found, mark))

    def keep(self, found: Described, parent: Manifest, entry: Entry) -> None:
        """A file whose data are those of `entry` in the parent's manifest; `found` may have newer metadata."""
        extents: list[int] = []
        old = entry.extents
        for at in range(0, len(old), 3):
            extents += (self._kept_chunk(parent, old[at]), old[at + 1], old[at + 2])
        self._pending.append((found, _Kept(extents, entry.digest)))

    def reuse(self, found: Described, digest: bytes, extents: Iterable[Extent]) -> None:
        """A file whose data, of this BLAKE3, are in chunks that are stored."""
        flat: list[int] = []
        for chunk_id, chunk_length, offset, length in extents:
            flat += (self._kept_number(chunk_id, chunk_length), offset, length)
        self._pending.append((found, _Kept(flat, digest)))

    def keep_entry(self, parent: Manifest, entry: Entry) -> None:
        """`keep` of an entry of which nothing changed."""
        found = Described(
            entry.path,
            entry.kind,
            entry.size,
            entry.stamp,
            entry.meta,
            entry.ranges,
            entry.part_offset,
            entry.part_length,
        )
        if entry.kind == "f":
            self.keep(found, parent, entry)
        else:
            self.add(found)

    def build(self, stream: ChunkStream) -> Manifest:
        """The manifest; `stream.finish()` was called."""
        first_kept = len(stream.chunks)
        entries = [_entry(found, data, stream, first_kept) for found, data in self._pending]
        ids = b"".join([chunk_id for chunk_id, _ in stream.chunks]) + b"".join(self._numbers)
        lengths = [length for _, length in stream.chunks] + self._lengths
        return Manifest(entries, ids, lengths)

    def build_patch(self, stream: ChunkStream, base: ManifestRef, gone: list[EntryKey]) -> StoredManifest:
        """What was collected as changes of `base`, with no more chunks than the entries refer to."""
        whole = self.build(stream)
        used = sorted({number for entry in whole.entries for number in entry.extents[::3]})
        places = {number: place for place, number in enumerate(used)}
        for entry in whole.entries:
            entry.extents[::3] = [places[number] for number in entry.extents[::3]]
        ids = b"".join(whole.chunk_ids[number * CHUNK_ID : (number + 1) * CHUNK_ID] for number in used)
        lengths = [whole.chunk_lengths[number] for number in used]
        return StoredManifest(base_ref(base), gone, whole.entries, ids, lengths)

    def _kept_chunk(self, parent: Manifest, number: int) -> int:
        chunk_id = parent.chunk_ids[number * CHUNK_ID : (number + 1) * CHUNK_ID]
        return self._kept_number(chunk_id, parent.chunk_lengths[number])

    def _kept_number(self, chunk_id: bytes, length: int) -> int:
        known = self._numbers.setdefault(chunk_id, len(self._numbers))
        if known == len(self._lengths):
            self._lengths.append(length)
        return known


def absent_chunks(parent: Manifest, index: ChunkIndex) -> frozenset[int]:
    """Numbers of the parent's chunks that no indexed pack is known to hold: read their files again."""
    ids = [parent.chunk_ids[at : at + CHUNK_ID] for at in range(0, len(parent.chunk_ids), CHUNK_ID)]
    return frozenset(
        number
        for number, chunk_id in enumerate(ids)
        if not index.contains(chunk_id) or index.unindexed_pack_of(chunk_id) is not None
    )


def is_whole(entry: Entry, absent: frozenset[int]) -> bool:
    """Whether none of the entry's chunks is in `absent` (from `absent_chunks`)."""
    return not absent or absent.isdisjoint(entry.extents[::3])


def _entry(found: Described, data: Mark | _Kept | None, stream: ChunkStream, first_kept: int) -> Entry:
    extents: list[int] = []
    digest = b""
    if isinstance(data, Mark):
        extents, digest = stream.extents(data), data.digest
    elif data is not None:
        extents, digest = data.extents, data.digest
        extents[::3] = [number + first_kept for number in extents[::3]]
    return Entry(
        found.path,
        found.kind,
        found.size,
        found.stamp,
        found.meta,
        extents,
        digest,
        list(found.ranges),
        found.part_offset,
        found.part_length,
    )
