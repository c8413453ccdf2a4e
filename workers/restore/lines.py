"""Answers in JSON lines: how a snapshot, an entry or a change is told, and how many lines become a parcel."""

import json
import os
from collections.abc import Iterable
from typing import Final, NamedTuple

from crypto.parcel import ParcelTable
from repository.errors import RepositoryError
from repository.manifest import Entry, Snapshot
from sources.filesystem import metadata as files
from sources.s3 import metadata as objects
from sources.source import SourceError
from workers.restore.parcels import ParcelWriter

LINES_PER_PARCEL: Final = 10_000
BYTES_PER_PARCEL: Final = 8 << 20


class Place(NamedTuple):
    """Some lines of an answer: the parcel they are in, the first, and how many."""

    parcel: int
    first: int
    lines: int


class LineWriter:
    """Delivers lines as they come, in parcels of bounded size.

    Args:
        writer: of the job's only segment.
    """

    def __init__(self, writer: ParcelWriter) -> None:
        self._writer = writer
        self._lines: list[bytes] = []
        self._size = 0

    def add(self, line: bytes) -> None:
        """Another line; see `ParcelWriter.deliver` for the errors."""
        self._lines.append(line)
        self._size += len(line)
        if len(self._lines) >= LINES_PER_PARCEL or self._size >= BYTES_PER_PARCEL:
            self.flush()

    def place(self, lines: Iterable[bytes]) -> list[Place]:
        """Other lines, and where they are."""
        places: list[Place] = []
        for line in lines:
            parcel, number = self._writer.sequence, len(self._lines)
            last = places[-1] if places else None
            if last is not None and last.parcel == parcel:
                places[-1] = last._replace(lines=last.lines + 1)
            else:
                places.append(Place(parcel, number, 1))
            self.add(line)
        return places

    def flush(self) -> int:
        """Deliver what there is; returns the number of the next parcel."""
        if self._lines:
            self._writer.deliver(ParcelTable((), (), b"\n".join(self._lines)), ())
            self._lines, self._size = [], 0
        return self._writer.sequence


def json_line(value: dict[str, object]) -> bytes:
    """One line."""
    return json.dumps(value).encode()


def _paths(paths: Iterable[bytes]) -> list[str]:
    return [os.fsdecode(path) for path in paths]


def snapshot_line(snapshot: Snapshot) -> bytes:
    """A snapshot."""
    return json_line(
        {
            "id": snapshot.id.hex(),
            "time_ns": snapshot.time_ns,
            "hostname": snapshot.hostname,
            "paths": _paths(snapshot.paths),
            "tags": snapshot.tags,
            "files": snapshot.files,
            "dirs": snapshot.dirs,
            "bytes": snapshot.bytes,
            "errors": len(snapshot.errors),
        }
    )


def damaged_line(name: str, error: RepositoryError) -> bytes:
    """A snapshot that cannot be opened."""
    return json_line({"id": name.rpartition("/")[2], "error": error.message})


TYPES: Final = {"f": "file", "d": "dir", "l": "symlink", "p": "fifo", "c": "chardev", "b": "dev"}


def entry_line(entry: Entry) -> bytes:
    """An entry, with what its source says of it."""
    line: dict[str, object] = {
        "path": os.fsdecode(entry.path),
        "type": TYPES[entry.kind],
        "size": entry.size,
    }
    try:
        line |= _object_facts(entry) if objects.is_object(entry.meta) else _file_facts(entry)
    except SourceError as error:
        line["error"] = error.message
    return json_line(line)


def _file_facts(entry: Entry) -> dict[str, object]:
    meta = files.decode(entry.meta, entry.path)
    return {
        "mode": meta.mode,
        "uid": meta.uid,
        "gid": meta.gid,
        "user": meta.uname,
        "group": meta.gname,
        "mtime_ns": meta.mtime_ns,
        "target": os.fsdecode(meta.target),
    }


def _object_facts(entry: Entry) -> dict[str, object]:
    meta = objects.decode(entry.meta, entry.path)
    return {"mtime_ns": meta.modified_ms * 1_000_000, "object": objects.facts(meta)}
