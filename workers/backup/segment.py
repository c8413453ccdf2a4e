"""One segment: describe its paths, read what is new or changed, and store the chunks. No Celery, no messages."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from repository.builder import Described, ManifestBuilder, absent_chunks, is_whole
from repository.cache.files import KnownFiles
from repository.index import ChunkIndex
from repository.manifest import WHOLE, Entry, Manifest, Stats, WorkItem
from repository.stream import ChunkStream, Mark
from sources.source import Note, Reader, ReadItem, Skipped, SourceError, Wanted
from workers.backup.cut import span
from workers.backup.known import Known, KnownContent, Place

PROGRESS_EVERY = 64
"""Items between two looks at the clock."""


class Outcome(NamedTuple):
    """A segment's manifest (None when nothing could be described), what went wrong or was left out, what it cost."""

    manifest: Manifest | None
    errors: list[Note]
    skipped: list[Note]
    stats: Stats


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

    def describe(self, items: Sequence[WorkItem]) -> Outcome:
        """Go through all items, in order, and store every chunk that is not stored yet.

        What cannot be read is named in `errors` and left out; it does not stop the rest.

        Raises:
            StoreError, StrongroomError: the repository or a key failed; nothing is committed.
        """
        self._reader.expect(_wanted(item) for item in items if item.kind == "f" and not self._is_same(item))
        done = 0
        for count, item in enumerate(items):
            try:
                self._take(item)
            except Skipped as skipped:
                self._skipped.append((item.path, skipped.message))
            except SourceError as error:
                self._stream.rollback()
                self._errors.append((item.path, error.message))
            done += span(item)
            if count % PROGRESS_EVERY == 0:
                self._progress(count, done)
        stream = self._stream
        stream.finish()
        self._content.remember()
        manifest = self._builder.build(stream) if len(self._builder) else None
        stats = Stats(
            self._new,
            self._kept,
            stream.bytes_read,
            stream.bytes_stored,
            stream.chunks_new,
            stream.chunks_reused,
        )
        return Outcome(manifest, self._errors, self._skipped, stats)

    def _take(self, item: WorkItem) -> None:
        known = self._known_of(item)
        if known is not None and known.entry.stamp == item.stamp:
            self._builder.keep_entry(known.manifest, known.entry)
            self._kept += item.kind == "f" and item.part_offset == 0
        elif item.kind == "f":
            self._read(item, known)
        else:
            found = self._reader.describe(item.path, item.kind)
            self._builder.add(_described(item, found))
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
        self._put(_described(item, found), place, mark.digest)

    def _put(self, described: Described, place: Place, digest: bytes) -> None:
        if isinstance(place, Mark):
            self._builder.add(described, place)
        elif isinstance(place, Known):
            self._builder.keep(described, place.manifest, place.entry)
        else:
            self._builder.reuse(described, digest, place)


def _wanted(item: WorkItem) -> Wanted:
    length = None if item.part_length == WHOLE else item.part_length
    return Wanted(item.path, item.size, item.stamp, item.part_offset, length)


def _same_data(entry: Entry, found: ReadItem, mark: Mark) -> bool:
    return entry.digest == mark.digest and entry.size == found.size and tuple(entry.ranges) == found.ranges


def _described(item: WorkItem, found: ReadItem) -> Described:
    # The parts of a file that grows or shrinks meanwhile are parts of the one that was planned.
    size = found.size if item.part_length == WHOLE else item.size
    return Described(
        item.path,
        item.kind,
        size,
        found.stamp,
        found.meta,
        found.ranges,
        item.part_offset,
        item.part_length,
    )
