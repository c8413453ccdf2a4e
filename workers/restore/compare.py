"""What differs between two snapshots, from their manifests in path order; those that both have are never read.

Pure but for the reading, which is the caller's. What a patch left as it was is the same object on both sides.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal, NamedTuple

import msgspec

from repository.layout import CHUNK_ID
from repository.manifest import Entry, Manifest, ManifestRef, Snapshot
from repository.rules import path_key
from sources.filesystem.metadata import Meta
from sources.source import SourceError
from sources.stored import file_meta

Sign = Literal["+", "-", "M", "M?", "T", "U"]
"""As restic has them: added, removed, content changed (`?`: although all metadata is as before), type changed, metadata
changed."""
_NAMES_OF_LINKS: Final = {"dev": 0, "ino": 0, "nlink": 1}
"""Metadata that only tells which names are one file: no change of what is under a name."""


class Thing(NamedTuple):
    """All entries of one path that a side has read: more than one for a huge file in parts."""

    entries: Sequence[Entry]
    manifests: Sequence[Manifest]

    @property
    def top(self) -> Entry:
        """The first entry, which has all that is not about the content."""
        return self.entries[0]


class Change(NamedTuple):
    """One path that is not the same; `old` or `new` is None where it is not."""

    sign: Sign
    path: bytes
    old: Entry | None
    new: Entry | None


def apart(first: Snapshot, second: Snapshot) -> tuple[list[ManifestRef], list[ManifestRef]]:
    """The manifests of each that the other has not."""
    ours = {(ref.id, ref.digest) for ref in first.manifests}
    theirs = {(ref.id, ref.digest) for ref in second.manifests}
    return (
        [ref for ref in first.manifests if (ref.id, ref.digest) not in theirs],
        [ref for ref in second.manifests if (ref.id, ref.digest) not in ours],
    )


class Side:
    """The entries of one snapshot, manifest after manifest."""

    def __init__(self, refs: Iterable[ManifestRef], read: Callable[[ManifestRef], Manifest]) -> None:
        self._refs, self._read = iter(refs), read
        self.manifest = Manifest([], b"", [])
        self.at = 0
        self.settle()

    @property
    def head(self) -> Entry | None:
        """The next entry, or None at the end."""
        return self.manifest.entries[self.at] if self.at < len(self.manifest.entries) else None

    def settle(self) -> None:
        """Turn to the next manifest when this one is at its end."""
        while self.at >= len(self.manifest.entries):
            ref = next(self._refs, None)
            if ref is None:
                return
            self.manifest, self.at = self._read(ref), 0

    def take(self) -> Thing:
        """All entries of the next path."""
        entries: list[Entry] = []
        manifests: list[Manifest] = []
        while (head := self.head) is not None and (not entries or head.path == entries[0].path):
            entries.append(head)
            manifests.append(self.manifest)
            self.at += 1
            self.settle()
        return Thing(entries, manifests)


def changes(old: Side, new: Side) -> Iterator[Change]:
    """What differs, in path order. Both sides begin with what is not in manifests that they share."""
    while True:
        _skip_same(old, new)
        ours, theirs = old.head, new.head
        if ours is None and theirs is None:
            return
        if theirs is None or (ours is not None and path_key(ours.path) < path_key(theirs.path)):
            yield _alone("-", old.take())
        elif ours is None or ours.path != theirs.path:
            yield _alone("+", new.take())
        else:
            before, after = old.take(), new.take()
            sign = compared(before, after)
            if sign is not None:
                yield Change(sign, ours.path, before.top, after.top)


def compared(old: Thing, new: Thing) -> Sign | None:
    """How two things of one path differ, or None."""
    before, after = old.top, new.top
    if before.kind != after.kind:
        return "T"
    if before.kind == "f" and not _same_content(old, new):
        return "M?" if before.meta == after.meta and before.size == after.size else "M"
    if before.meta == after.meta:
        return None
    try:
        then, now = file_meta(before.meta, before.path), file_meta(after.meta, after.path)
    except SourceError:
        return "U"
    if (then.target, then.rdev) != (now.target, now.rdev):
        return "M"
    return None if _of_restore(then) == _of_restore(now) else "U"


def _skip_same(old: Side, new: Side) -> None:
    """Pass over what is one and the same object: nearly all that a patch and its base have."""
    while True:
        ours, theirs = old.manifest.entries, new.manifest.entries
        count = 0
        for one, other in zip(islice(ours, old.at, None), islice(theirs, new.at, None), strict=False):
            if one is not other:
                break
            count += 1
        if not count:
            return
        old.at += count
        new.at += count
        old.settle()
        new.settle()


def _alone(sign: Literal["+", "-"], thing: Thing) -> Change:
    """A path that one side has. When it begins with a later part, the other has the first in a manifest of both."""
    top = thing.top
    if top.part_offset:
        return Change("M", top.path, top, top)
    return Change(sign, top.path, top if sign == "-" else None, top if sign == "+" else None)


def _same_content(old: Thing, new: Thing) -> bool:
    if old.top.size != new.top.size:
        return False
    if [_part(entry) for entry in old.entries] == [_part(entry) for entry in new.entries]:
        return True
    # Cut into other parts, the same content still has the same chunks: parts end where chunks do.
    if len(old.entries) == len(new.entries) == 1:
        return False
    return _ranges(old) == _ranges(new) and list(_pieces(old)) == list(_pieces(new))


def _part(entry: Entry) -> tuple[int, int, bytes, list[tuple[int, int]]]:
    return entry.part_offset, entry.part_length, entry.digest, entry.ranges


def _ranges(thing: Thing) -> list[tuple[int, int]]:
    return [each for entry in thing.entries for each in entry.ranges]


def _pieces(thing: Thing) -> Iterator[tuple[bytes, int, int]]:
    """The data as (chunk id, offset, length)."""
    for entry, manifest in zip(thing.entries, thing.manifests, strict=True):
        for at in range(0, len(entry.extents), 3):
            number, offset, length = entry.extents[at : at + 3]
            yield manifest.chunk_ids[CHUNK_ID * number : CHUNK_ID * (number + 1)], offset, length


def _of_restore(meta: Meta) -> Meta:
    return msgspec.structs.replace(meta, **_NAMES_OF_LINKS)


@dataclass
class Tally:
    """Counts of one direction; `bytes`: of files that are new, or as they are now where content changed."""

    files: int = 0
    dirs: int = 0
    others: int = 0
    bytes: int = 0

    def add(self, entry: Entry) -> None:
        """Count something that is only on this side."""
        self.files += entry.kind == "f"
        self.dirs += entry.kind == "d"
        self.others += entry.kind not in ("f", "d")
        self.bytes += entry.size


class Summary:
    """Adds changes up."""

    def __init__(self) -> None:
        self.added, self.removed = Tally(), Tally()
        self.changed = self.retyped = self.metadata = 0

    def add(self, change: Change) -> None:
        """Count a change."""
        old, new = change.old, change.new
        if old is None or new is None:
            if new is not None:
                self.added.add(new)
            if old is not None:
                self.removed.add(old)
            return
        if change.sign == "U":
            self.metadata += 1
            return
        self.retyped += change.sign == "T"
        self.changed += change.sign != "T"
        self.added.bytes += new.size
        self.removed.bytes += old.size
