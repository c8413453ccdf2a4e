"""One segment: describe its paths, read what is new or changed, and store the chunks. No Celery, no messages."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from repository.builder import ManifestBuilder, absent_chunks, is_whole
from repository.cache.files import KnownFiles
from repository.index import ChunkIndex
from repository.manifest import (
    WHOLE,
    Entry,
    EntryKey,
    Manifest,
    Stats,
    StoredManifest,
    WorkItem,
    WorkPatch,
)
from repository.patch import holds, order_of
from repository.stream import ChunkStream, Mark
from sources.source import Note, Reader, ReadItem, Skipped, SourceError, Wanted
from workers.backup.cut import span
from workers.backup.known import Known, KnownContent, Place

PROGRESS_EVERY = 64
"""Items between two looks at the clock."""


class Outcome(NamedTuple):
    """A segment's manifest (None when nothing could be described), what went wrong or was left out, what it cost.

    `patches` are those that the segment was asked for instead, in order; None stands for one that changes nothing.
    """

    manifest: Manifest | None
    errors: list[Note]
    skipped: list[Note]
    stats: Stats
    patches: Sequence[StoredManifest | None] = ()


class PatchOrder(NamedTuple):
    """Changes to describe, and the manifest that they are changes of."""

    work: WorkPatch
    base: Manifest


class SegmentWriter:
    """Describes the items of one segment.

    Args:
        stream: fresh, for this segment alone.
        reader: of the source that the items are in.
        index: tells whether the chunks of an unchanged file are still there.
        parents: the manifests of the parent snapshot that overlap this segment.
        progress: called now and then with files and bytes done.
        files: what this host remembers of files that it has stored; None without it.
    """

    def __init__(
        self,
        stream: ChunkStream,
        reader: Reader,
        index: ChunkIndex,
        parents: Iterable[Manifest],
        progress: Callable[[int, int], None],
        files: KnownFiles | None = None,
    ) -> None:
        self._stream = stream
        self._reader = reader
        self._progress = progress
        self._known: dict[tuple[bytes, int], Known] = {}
        for manifest in parents:
            absent = absent_chunks(manifest, index)
            self._known.update(
                ((entry.path, entry.part_offset), Known(entry, manifest))
                for entry in manifest.entries
                if is_whole(entry, absent)
            )
        self._content = KnownContent(stream, self._known.values, files, again=not self._known)
        self._builder = ManifestBuilder()
        self._errors: list[Note] = []
        self._skipped: list[Note] = []
        self._new = self._kept = 0
        self._items = self._bytes = 0

    def describe(self, items: Sequence[WorkItem]) -> Outcome:
        """Go through all items, in order, and store every chunk that is not stored yet.

        What cannot be read is named in `errors` and left out; it does not stop the rest.

        Raises:
            StoreError, StrongroomError: the repository or a key failed; nothing is committed.
        """
        self._expect(items)
        self._go_through(items)
        self._finish()
        manifest = self._builder.build(self._stream) if len(self._builder) else None
        return self._outcome(manifest)

    def describe_patches(self, orders: Sequence[PatchOrder]) -> Outcome:
        """The same for the changes of several manifests, in path order: one stream, and so one pack, for all of them.

        What cannot be read is named, and gone from its manifest: it must not stay as it was.

        Raises:
            StoreError, StrongroomError: as `describe`.
        """
        self._expect([item for order in orders for item in order.work.items])
        built: list[tuple[PatchOrder, ManifestBuilder, list[EntryKey]]] = []
        for order in orders:
            self._builder = ManifestBuilder()
            lost = [key for key in self._go_through(order.work.items) if holds(order.base.entries, key)]
            built.append((order, self._builder, sorted([*order.work.gone, *lost], key=order_of)))
        self._finish()
        patches = [
            builder.build_patch(self._stream, order.work.base, gone) if gone or len(builder) else None
            for order, builder, gone in built
        ]
        return self._outcome(None, patches)

    def _expect(self, items: Sequence[WorkItem]) -> None:
        self._reader.expect(_wanted(item) for item in items if item.kind == "f" and not self._is_same(item))

    def _go_through(self, items: Sequence[WorkItem]) -> list[EntryKey]:
        """Describe the items; returns the keys of those that could not be."""
        lost = []
        for item in items:
            try:
                self._take(item)
            except Skipped as skipped:
                self._skipped.append((item.path, skipped.message))
                lost.append((item.path, item.part_offset))
            except SourceError as error:
                self._stream.rollback()
                self._errors.append((item.path, error.message))
                lost.append((item.path, item.part_offset))
            self._bytes += span(item)
            if self._items % PROGRESS_EVERY == 0:
                self._progress(self._items, self._bytes)
            self._items += 1
        return lost

    def _finish(self) -> None:
        self._stream.finish()
        self._content.remember()

    def _outcome(self, manifest: Manifest | None, patches: Sequence[StoredManifest | None] = ()) -> Outcome:
        stream = self._stream
        stats = Stats(
            self._new,
            self._kept,
            stream.bytes_read,
            stream.bytes_stored,
            stream.chunks_new,
            stream.chunks_reused,
        )
        return Outcome(manifest, self._errors, self._skipped, stats, patches)

    def _take(self, item: WorkItem) -> None:
        known = self._known_of(item) if self._known else None
        if known is not None and known.entry.stamp == item.stamp:
            self._builder.keep_entry(known.manifest, known.entry)
            self._kept += item.kind == "f" and item.part_offset == 0
        elif item.kind == "f":
            self._read(item, known)
        else:
            found = self._reader.describe(item.path, item.kind)
            self._builder.add(_described(item, found))
            if found.warnings:
                self._errors.extend((item.path, warning) for warning in found.warnings)

    def _is_same(self, item: WorkItem) -> bool:
        known = self._known_of(item)
        return known is not None and known.entry.stamp == item.stamp

    def _known_of(self, item: WorkItem) -> Known | None:
        """The parent's entry of the same thing, or of the same part of it."""
        known = self._known.get((item.path, item.part_offset))
        if known is not None and (known.entry.kind, known.entry.part_length) != (item.kind, item.part_length):
            return None
        return known

    def _read(self, item: WorkItem, known: Known | None) -> None:
        stream = self._stream
        stream.begin()
        found = self._reader.read(_wanted(item), stream)
        mark = stream.end()
        if found.changed or found.warnings:
            self._errors.extend((item.path, text) for text in (found.changed, *found.warnings) if text)
        if known is not None and _same_data(known.entry, found, mark):
            # Only its times or its mode changed: the chunks are there already.
            stream.rollback(mark)
            self._builder.keep(_described(item, found), known.manifest, known.entry)
            self._kept += item.part_offset == 0
            return
        self._new += item.part_offset == 0
        place = self._content.find(mark) if mark.end > mark.start else None
        if place is None or not stream.rollback(mark):
            # What has left the buffer is in chunks already, whether a file refers to them or not.
            place = mark
        self._put(_described(item, found, mark.digest), place)

    def _put(self, described: Entry, place: Place) -> None:
        if isinstance(place, Mark):
            self._builder.add(described, place)
        elif isinstance(place, Known):
            self._builder.keep(described, place.manifest, place.entry)
        else:
            self._builder.reuse(described, described.digest, place)


def _wanted(item: WorkItem) -> Wanted:
    length = None if item.part_length == WHOLE else item.part_length
    return Wanted(item.path, item.size, item.stamp, item.part_offset, length)


def _same_data(entry: Entry, found: ReadItem, mark: Mark) -> bool:
    return entry.digest == mark.digest and entry.size == found.size and tuple(entry.ranges) == found.ranges


def _described(item: WorkItem, found: ReadItem, digest: bytes = b"") -> Entry:
    """The entry of what was found, its extents still to come."""
    # The parts of a file that grows or shrinks meanwhile are parts of the one that was planned.
    size = found.size if item.part_length == WHOLE else item.size
    return Entry(
        item.path,
        item.kind,
        size,
        found.stamp,
        found.meta,
        [],
        digest,
        list(found.ranges),
        item.part_offset,
        item.part_length,
    )
