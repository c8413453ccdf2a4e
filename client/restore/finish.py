"""The last steps of a restore, by one process, when all segments are written.

1. Files that several segments wrote get their metadata, if every part is there.
2. Things that were one under several names become one again.
3. Everything moves to its own place (`client.restore.staging`).
4. Directories get their metadata, deepest first, because whatever is written in one changes its times.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from client.restore.messages import LinkName, Part
from client.restore.staging import Staging
from sources.filesystem.metadata import Meta
from sources.filesystem.write import TreeWriter
from sources.source import Note, SourceError
from sources.stored import file_meta


class Finisher:
    """Collects what the segments report, then finishes the tree.

    Args:
        strip: the path that the person asked for.
    """

    def __init__(self, strip: bytes) -> None:
        self.failed: dict[bytes, str] = {}
        """Why a path is not what it should be: it was not delivered, or was not whole when it was backed up."""
        self._torn: set[bytes] = set()
        self.notes: list[Note] = []
        self.strip = strip
        self.parts: dict[bytes, list[Part]] = defaultdict(list)
        self._dirs: list[tuple[bytes, bytes]] = []
        self._links: list[LinkName] = []

    def fail(self, failed: Iterable[Note]) -> None:
        """Note what could not be delivered; the first reason for a path stays."""
        for path, why in failed:
            self.failed.setdefault(path, why)
            self._torn.discard(path)

    def tear(self, torn: Iterable[Note]) -> None:
        """Note what is delivered as it was read, although it was not whole then."""
        for path, why in torn:
            if path not in self.failed:
                self.failed[path] = why
                self._torn.add(path)

    def is_lost(self, path: bytes) -> bool:
        """Whether there is nothing to put in place."""
        return path in self.failed and path not in self._torn

    def add(
        self,
        dirs: Sequence[tuple[bytes, bytes]],
        links: Sequence[LinkName],
        parts: Sequence[Part],
        notes: Sequence[Note],
    ) -> None:
        """Note what a segment wrote."""
        self._dirs += dirs
        self._links += links
        self.notes += notes
        for part in parts:
            self.parts[part.path].append(part)

    def finish(self, staging: Staging) -> int:
        """Do the steps above.

        Returns:
            How many files in parts were completed.
        """
        with TreeWriter(staging.folder, self._top()) as writer:
            completed = sum(self._finish_parts(writer, path, parts) for path, parts in self.parts.items())
            self._join_names(writer)
        self.notes += staging.promote()
        self._finish_dirs(staging.target)
        return completed

    def _top(self) -> bytes:
        """What paths lose: the path asked for, or the folder above it when that is a single file."""
        single = self.strip in self.parts or any(link.path == self.strip for link in self._links)
        return self.strip.rpartition(b"/")[0] if single else self.strip

    def _finish_parts(self, writer: TreeWriter, path: bytes, parts: list[Part]) -> bool:
        """Step 1."""
        try:
            if not self.is_lost(path) and covered(parts):
                meta = file_meta(parts[0].meta, path)
                self.notes += writer.finish_file(writer.open_part(path, parts[0].size), path, meta)
                return True
            self.fail([(path, "a part of it was not delivered")])
            writer.discard(path)
        except SourceError as error:
            self.fail([(path, error.message)])
        return False

    def _join_names(self, writer: TreeWriter) -> None:
        """Step 2."""
        first: dict[tuple[int, int, int, bytes], bytes] = {}
        for name in sorted(self._links, key=lambda each: each.path):
            if self.is_lost(name.path):
                continue
            existing = first.setdefault((name.device, name.inode, name.size, name.digest), name.path)
            if existing == name.path:
                continue
            try:
                writer.discard(name.path)
                writer.link(existing, name.path)
            except SourceError as error:
                self.fail([(name.path, error.message)])

    def _finish_dirs(self, target: Path) -> None:
        """Step 4."""
        dirs: list[tuple[bytes, Meta]] = []
        for path, encoded in self._dirs:
            try:
                dirs.append((path, file_meta(encoded, path)))
            except SourceError as error:
                self.notes.append((path, error.message))
        with TreeWriter(target, self.strip) as writer:
            self.notes += writer.finish_dirs(dirs)


def covered(parts: list[Part]) -> bool:
    """Whether the parts, one after another, are the whole file."""
    end = 0
    for part in sorted(parts, key=lambda each: each.offset):
        if part.offset > end:
            return False
        end = max(end, part.offset + part.length)
    return end >= parts[0].size


def landing(target: Path, strip: bytes, path: bytes) -> bytes:
    """Where a snapshot path lands below `target`, for looking whether it is there."""
    below = (
        path[len(strip) :] if strip and path != strip else b"/" + path.rpartition(b"/")[2] if strip else path
    )
    return os.fsencode(target) + below
