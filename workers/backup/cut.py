"""Cutting a walk into segments: pure, without files, keys or queues.

The walk and the parent snapshot come in the same order, so one pass side by side tells what is new, changed or gone.
A manifest of the parent in whose range nothing changed is kept as it is, and one in whose range little changed is
patched; around the rest, segments of contiguous paths are cut, each small enough for one task.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from repository.manifest import WHOLE, Entry, EntryKey, Manifest, ManifestRef, WorkItem, WorkPatch
from repository.patch import MAX_DEPTH
from sources.source import Found, order_key
from workers.backup.parts import PartSizes, Seams, parts

SEGMENT_BYTES = 64 << 20
"""A segment is closed when it has this many bytes to read."""
SEGMENT_ITEMS = 16_384
EAGER = 4
"""The first segments are handed out as soon as they are cut."""
HELD = 2
"""Later, so many are held back, so that the last ones can be shared out in smaller pieces."""
SHARES = 3
_SHARE_BYTES = 8 << 20

LEAST_PATCHED = 128
"""A manifest of fewer entries is written whole: some KB, where a patch would cost each reader one more read."""
PATCHED_SHARE = 4
"""A manifest is patched if no more than one in so many of its entries changed."""
PATCHES = 8
BASE_ENTRIES = 2 * SEGMENT_ITEMS
"""No more patches than this in one segment, nor with more entries in their bases: it has all of these in memory."""

ReadParent = Callable[[ManifestRef], Manifest]


class Segment(NamedTuple):
    """What one task has to do: items for one manifest, or patches. `unread` counts the bytes that it has to read."""

    items: list[WorkItem]
    parents: list[ManifestRef]
    unread: int
    patches: Sequence[WorkPatch] = ()

    def all_items(self) -> list[WorkItem]:
        """Also those of the patches."""
        return self.items + [item for patch in self.patches for item in patch.items]


class Kept(NamedTuple):
    """A manifest of the parent that goes into the new snapshot unchanged."""

    ref: ManifestRef


def cut(
    walk: Iterable[Found],
    parents: Sequence[ManifestRef],
    read: ReadParent,
    seams: Seams | None = None,
    sizes: PartSizes = PartSizes(),  # noqa: B008
    least: int = LEAST_PATCHED,
) -> Iterator[Segment | Kept]:
    """Compare a walk with the parent's manifests and cut what changed into segments: in path order, but for patches.

    Args:
        walk: in path order.
        parents: the parent snapshot's manifests in its order.
        read: one of them; called once for each, in order. One that is empty is as good as not there.
        seams: where huge files are cut; without it, at plain offsets.
        sizes: of the parts of huge files.
        least: entries of a manifest that is patched.
    """
    cursor = _Cursor(parents, read, least)
    cutter = _Cutter()
    for found in walk:
        if found.size <= sizes.largest:
            items: Iterable[WorkItem] = (WorkItem(*found),)
        else:
            yield from _skip(cursor, cutter, found.path, 0)
            items = _parts(found, cursor, seams, sizes)
        for item in items:
            same = False
            entry = cursor.entry
            if entry is not None:
                # Nearly always it is the next one: the keys are only made when it is not.
                if entry.path != item.path or entry.part_offset != item.part_offset:
                    yield from _skip(cursor, cutter, item.path, item.part_offset)
                    entry = cursor.entry
                if entry is not None and entry.path == item.path and entry.part_offset == item.part_offset:
                    if cursor.old is not cutter.old:
                        yield from cutter.enter(cursor.old)
                    same = entry.stamp == item.stamp and _same(entry, item)
                    cursor.advance()
            if same and cutter.open:
                cutter.waiting.append(item)
                continue
            yield from cutter.take(item, 0 if same else span(item))
    while (entry := cursor.entry) is not None:
        yield from cutter.enter(cursor.old)
        yield from cutter.gone(entry)
        cursor.advance()
    yield from cutter.finish()


def taper(pieces: Iterable[Segment | Kept]) -> Iterator[Segment | Kept]:
    """The same, but the last segments in several pieces, so that all processes end at about the same time."""
    held: deque[Segment] = deque()
    given = 0
    for piece in pieces:
        if isinstance(piece, Kept):
            yield piece
            continue
        held.append(piece)
        if given < EAGER or len(held) > HELD:
            yield held.popleft()
            given += 1
    for segment in held:
        yield from _shares(segment)


def _shares(segment: Segment) -> Iterator[Segment]:
    if segment.patches:
        yield segment
        return
    due = max(_SHARE_BYTES, -(-segment.unread // SHARES))
    items: list[WorkItem] = []
    unread = 0
    left = segment.unread
    for item in segment.items:
        items.append(item)
        unread += span(item)
        if unread >= due and left - unread >= _SHARE_BYTES:
            yield Segment(items, segment.parents, unread)
            left -= unread
            items, unread = [], 0
    if items:
        yield Segment(items, segment.parents, min(left, unread))


def _parts(found: Found, cursor: "_Cursor", seams: Seams | None, sizes: PartSizes) -> Iterator[WorkItem]:
    """The work items of a huge file. One that is as it was is cut as it was, and not looked into for seams."""
    path, kind, size, stamp = found
    at = 0
    while (entry := cursor.entry) is not None and entry.path == path and _continues(entry, found, at):
        yield WorkItem(path, kind, size, stamp, at, entry.part_length)
        at += entry.part_length
    if not at:
        for offset, length in parts(path, size, seams, sizes):
            yield WorkItem(path, kind, size, stamp, offset, length)
    # If anything is left of one that is as it was, some part could not be read last time.
    for offset in range(at, size if at else 0, sizes.largest):
        yield WorkItem(path, kind, size, stamp, offset, min(sizes.largest, size - offset))


def _continues(entry: Entry, found: Found, at: int) -> bool:
    return entry.stamp == found.stamp and entry.part_offset == at and entry.part_length > 0


def _skip(cursor: "_Cursor", cutter: "_Cutter", path: bytes, offset: int) -> Iterator[Segment | Kept]:
    """Pass over what the parent has before a place and the walk has not."""
    key = (order_key(path), offset)
    while (entry := cursor.entry) is not None and (order_key(entry.path), entry.part_offset) < key:
        yield from cutter.enter(cursor.old)
        yield from cutter.gone(entry)
        cursor.advance()


def _same(entry: Entry, item: WorkItem) -> bool:
    return entry.stamp == item.stamp and entry.kind == item.kind and entry.part_length == item.part_length


def span(item: WorkItem) -> int:
    """Bytes of the file, or of its part, that an item covers."""
    return item.size if item.part_length == WHOLE else item.part_length


def things(items: Iterable[WorkItem]) -> int:
    """How many files, folders and so on items are: the parts of a huge file are one."""
    return sum(item.part_offset == 0 for item in items)


class _Old(NamedTuple):
    """A manifest of the parent, and how many changes in its range may become a patch of it."""

    ref: ManifestRef
    most: int


class _Cursor:
    """Goes through the parent's entries, one manifest in memory at a time."""

    def __init__(self, parents: Sequence[ManifestRef], read: ReadParent, least: int) -> None:
        self._entries = _entries(parents, read, least)
        self.old: _Old | None = None
        self.entry: Entry | None = None
        self.advance()

    def advance(self) -> None:
        """Go to the parent's next entry; None after the last."""
        self.old, self.entry = next(self._entries, (self.old, None))


def _entries(parents: Sequence[ManifestRef], read: ReadParent, least: int) -> Iterator[tuple[_Old, Entry]]:
    for ref in parents:
        manifest = read(ref)
        entries = manifest.entries
        patched = len(entries) >= least and len(manifest.bases) < MAX_DEPTH
        old = _Old(ref, len(entries) // PATCHED_SHARE if patched else 0)
        for entry in entries:
            yield old, entry


class _Cutter:
    """Collects the items in the range of one parent manifest, and the segments that are being filled."""

    def __init__(self) -> None:
        self.old: _Old | None = None
        self.open = False  # before the first manifest there is nothing to keep
        """Whether the manifest `old` may still be kept, or patched."""
        self.waiting: list[WorkItem] = []
        """Items of the range of `old`, as long as it is open."""
        self._changed: dict[int, int] = {}  # place in `waiting` to bytes to read
        self._due = 0  # their sum
        self._gone: list[EntryKey] = []
        self._items: list[WorkItem] = []
        self._parents: list[ManifestRef] = []
        self._unread = 0
        self._patches = _Patches()

    def enter(self, old: _Old | None) -> Iterator[Segment | Kept]:
        """The next items are in the range of `old`."""
        if old is self.old:
            return
        yield from self._leave()
        self.old = old
        self.open = True

    def take(self, item: WorkItem, size: int) -> Iterator[Segment | Kept]:
        """Take an item that changed, with `size` bytes to read, or any item of a range that is not open.

        A part of a huge file gets a segment of its own.
        """
        alone = size > 0 and item.part_length != WHOLE
        # Ranges of manifests do not overlap, so there is no segment for a part inside a range that is patched.
        if self.open and not alone and self._is_little(size):
            self._changed[len(self.waiting)] = size
            self._due += size
            self.waiting.append(item)
            return
        yield from self._give_up()
        yield from self._fill(item, size, alone=alone)

    def gone(self, entry: Entry) -> Iterator[Segment | Kept]:
        """Something of the current range is not there any more: its manifest cannot be kept."""
        if self.open and self._is_little(0):
            self._gone.append((entry.path, entry.part_offset))
            return
        yield from self._give_up()

    def finish(self) -> Iterator[Segment | Kept]:
        """There are no more items."""
        yield from self._leave()
        yield from self._close()
        yield from self._patches.close()

    def _is_little(self, size: int) -> bool:
        """Whether the changes of the range, with one more, are still worth a patch."""
        if self.old is None or len(self._changed) + len(self._gone) >= self.old.most:
            return False
        return self._due + size <= SEGMENT_BYTES

    def _give_up(self) -> Iterator[Segment | Kept]:
        """The range of `old` is neither kept nor patched, but described anew."""
        if self.open:
            waiting, changed = self._reset()
            for place, item in enumerate(waiting):
                yield from self._fill(item, changed.get(place, 0))

    def _reset(self) -> tuple[list[WorkItem], dict[int, int]]:
        found = self.waiting, self._changed
        self.open = False
        self.waiting, self._changed, self._due, self._gone = [], {}, 0, []
        return found

    def _fill(self, item: WorkItem, size: int, *, alone: bool = False) -> Iterator[Segment | Kept]:
        full = self._unread + size > SEGMENT_BYTES or len(self._items) >= SEGMENT_ITEMS
        if alone or (self._items and full):
            yield from self._close()
        if self.old is not None and (not self._parents or self._parents[-1] is not self.old.ref):
            self._parents.append(self.old.ref)
        self._items.append(item)
        self._unread += size
        if alone:
            yield from self._close()

    def _close(self) -> Iterator[Segment | Kept]:
        if self._items:
            yield Segment(self._items, self._parents, self._unread)
        self._items, self._parents, self._unread = [], [], 0

    def _leave(self) -> Iterator[Segment | Kept]:
        if self.old is None or not self.open:
            return
        yield from self._close()
        gone = self._gone
        waiting, changed = self._reset()
        if not changed and not gone:
            yield Kept(self.old.ref)
            return
        patch = WorkPatch(self.old.ref, [waiting[place] for place in changed], gone)
        yield from self._patches.add(patch, sum(changed.values()))


class _Patches:
    """The segment that is being filled with patches."""

    def __init__(self) -> None:
        self._patches: list[WorkPatch] = []
        self._unread = self._entries = 0

    def add(self, patch: WorkPatch, unread: int) -> Iterator[Segment]:
        entries = patch.base.files + patch.base.dirs
        full = len(self._patches) == PATCHES or self._entries + entries > BASE_ENTRIES
        if full or self._unread + unread > SEGMENT_BYTES:
            yield from self.close()
        self._patches.append(patch)
        self._unread += unread
        self._entries += entries

    def close(self) -> Iterator[Segment]:
        if self._patches:
            yield Segment([], [], self._unread, self._patches)
        self._patches, self._unread, self._entries = [], 0, 0
