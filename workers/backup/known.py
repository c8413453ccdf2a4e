"""Content that is stored already, so that a file that was moved, renamed or copied is not stored again.

Cheapest first: the parent's files in the segment's range, the segment's own files so far, those that this host has
stored before. Extents say where data are and nothing else, so that any file, part or sparse file with the same data can
have them.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from repository.cache.files import MAX_EXTENTS, MIN_SIZE, Extent, KnownFiles
from repository.manifest import Entry, Manifest
from repository.stream import ChunkStream, Mark
from workers.backup.replay import Replay


class Known(NamedTuple):
    """An entry of the parent snapshot, and the manifest whose chunk table its extents refer to."""

    entry: Entry
    manifest: Manifest


Place = Known | Mark | list[Extent]
"""Where content is: in a file of the parent's, in the stream, or in these chunks."""


class KnownContent:
    """Where content is, by BLAKE3.

    Args:
        stream: of the segment.
        parents: gives the parent's entries in the segment's range whose chunks are all there; asked when the first file
            has to be looked for.
        files: what the host remembers; None without it.
        again: whether there is no parent, so that every file is read.
    """

    def __init__(
        self,
        stream: ChunkStream,
        parents: Callable[[], Iterable[Known]],
        files: KnownFiles | None,
        *,
        again: bool,
    ) -> None:
        self._stream = stream
        self._parents = parents
        self._files = files
        self._here: dict[bytes, Known | Mark] | None = None
        self._new: list[tuple[bytes, Mark]] = []
        self._replay = Replay(again=again)

    def find(self, mark: Mark) -> Place | None:
        """Where the content of the file that ended last is stored; None takes note that it is in the stream now."""
        if self._here is None:
            self._here = {known.entry.digest: known for known in self._parents() if known.entry.extents}
        found = self._here.get(mark.digest)
        if found is not None:
            return found
        if mark.end - mark.start >= MIN_SIZE and self._files is not None:
            extents = self._on_this_host(mark, self._files)
            if extents and not self._replay.goes_on(extents, self._stream.bytes_read):
                return extents
        self._here[mark.digest] = mark
        return None

    def remember(self) -> None:
        """Tell the host's table what this segment has stored; the stream is finished."""
        if self._files is not None and self._new:
            placed = [(name, self._stream.extents(mark)) for name, mark in self._new]
            chunks = self._stream.chunks
            self._files.add(
                (name, [(*chunks[flat[at]], flat[at + 1], flat[at + 2]) for at in range(0, len(flat), 3)])
                for name, flat in placed
                if len(flat) <= 3 * MAX_EXTENTS
            )

    def _on_this_host(self, mark: Mark, files: KnownFiles) -> list[Extent]:
        size = mark.end - mark.start
        name = files.name(mark.digest, size)
        extents = files.find(name, size)
        if extents and all(self._stream.relies_on(each.chunk_id, each.chunk_length) for each in extents):
            return extents
        self._new.append((name, mark))
        return []
