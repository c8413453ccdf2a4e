"""Puts a segment's manifest together from what was read anew and what is kept from the previous snapshot."""

from collections.abc import Iterable

from repository.cache.files import Extent
from repository.index import ChunkIndex
from repository.layout import CHUNK_ID
from repository.manifest import Entry, EntryKey, Manifest, ManifestRef, StoredManifest
from repository.patch import base_ref
from repository.stream import ChunkStream, Mark


class ManifestBuilder:
    """Collects entries in path order; their extents are filled in at the end, when the stream is cut.

    What is collected are the manifest's own entries, each with a list of extents of its own: there are many, and one
    object for each is what they should cost.
    """

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._new: list[tuple[Entry, Mark]] = []
        self._kept: list[list[int]] = []  # their chunk numbers count in the builder's table of kept chunks
        self._numbers: dict[bytes, int] = {}
        self._lengths: list[int] = []

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, found: Entry, mark: Mark | None = None) -> None:
        """A path described anew, without extents; `mark` is where its data are in the stream (None: it has none)."""
        self._entries.append(found)
        if mark is not None:
            self._new.append((found, mark))

    def keep(self, found: Entry, parent: Manifest, entry: Entry) -> None:
        """A file whose data are those of `entry` in the parent's manifest; `found` may have newer metadata."""
        self._hold(found, entry.digest, self._extents_of(parent, entry))

    def reuse(self, found: Entry, digest: bytes, extents: Iterable[Extent]) -> None:
        """A file whose data, of this BLAKE3, are in chunks that are stored."""
        flat: list[int] = []
        for chunk_id, chunk_length, offset, length in extents:
            flat += (self._kept_number(chunk_id, chunk_length), offset, length)
        self._hold(found, digest, flat)

    def keep_entry(self, parent: Manifest, entry: Entry) -> None:
        """`keep` of an entry of which nothing changed."""
        self._hold(entry, entry.digest, self._extents_of(parent, entry))

    def build(self, stream: ChunkStream) -> Manifest:
        """The manifest; `stream.finish()` was called. To be called once."""
        for entry, mark in self._new:
            entry.extents.extend(stream.extents(mark))
        first_kept = len(stream.chunks)
        for extents in self._kept:
            extents[::3] = [number + first_kept for number in extents[::3]]
        ids = b"".join([chunk_id for chunk_id, _ in stream.chunks]) + b"".join(self._numbers)
        lengths = [length for _, length in stream.chunks] + self._lengths
        return Manifest(self._entries, ids, lengths)

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

    def _hold(self, found: Entry, digest: bytes, extents: list[int]) -> None:
        if extents:
            self._kept.append(extents)
        self._entries.append(
            Entry(
                found.path,
                found.kind,
                found.size,
                found.stamp,
                found.meta,
                extents,
                digest,
                found.ranges,
                found.part_offset,
                found.part_length,
            )
        )

    def _extents_of(self, parent: Manifest, entry: Entry) -> list[int]:
        extents: list[int] = []
        old = entry.extents
        for at in range(0, len(old), 3):
            extents += (self._kept_chunk(parent, old[at]), old[at + 1], old[at + 2])
        return extents

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
