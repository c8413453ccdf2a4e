"""Cutting a walk into segments: pure, without files, keys or queues.

The walk and the parent snapshot come in the same order, so one pass side by side tells what is new, changed or gone.
A manifest of the parent in whose range nothing changed is kept as it is; around the rest, segments of contiguous
paths are cut, each small enough for one task.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from repository.manifest import WHOLE, Entry, ManifestRef, WorkItem
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

ReadEntries = Callable[[ManifestRef], Sequence[Entry]]


class Segment(NamedTuple):
    """What one task has to do. `unread` counts the bytes that it has to read."""

    items: list[WorkItem]
    parents: list[ManifestRef]
    unread: int


class Kept(NamedTuple):
    """A manifest of the parent that goes into the new snapshot unchanged."""

    ref: ManifestRef


def cut(
    walk: Iterable[Found],
    parents: Sequence[ManifestRef],
    read: ReadEntries,
    seams: Seams | None = None,
    sizes: PartSizes = PartSizes(),  # noqa: B008
) -> Iterator[Segment | Kept]:
    """Compare a walk with the parent's manifests and cut what changed into segments, in path order.

    Args:
        walk: in path order.
        parents: the parent snapshot's manifests in its order.
        read: the entries of one of them; called once for each, in order.
        seams: where huge files are cut; without it, at plain offsets.
        sizes: of the parts of huge files.
    """
    cursor = _Cursor(parents, read)
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
                    if cursor.ref is not cutter.ref:
                        yield from cutter.enter(cursor.ref)
                    same = entry.stamp == item.stamp and _same(entry, item)
                    cursor.advance()
            if same and not cutter.changed:
                cutter.waiting.append(item)
                continue
            yield from cutter.take(item, 0 if same else span(item))
    while cursor.entry is not None:
        yield from cutter.enter(cursor.ref)
        yield from cutter.gone()
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
        yield from cutter.enter(cursor.ref)
        yield from cutter.gone()
        cursor.advance()


def _same(entry: Entry, item: WorkItem) -> bool:
    return entry.stamp == item.stamp and entry.kind == item.kind and entry.part_length == item.part_length


def span(item: WorkItem) -> int:
    """Bytes of the file, or of its part, that an item covers."""
    return item.size if item.part_length == WHOLE else item.part_length


def things(items: Iterable[WorkItem]) -> int:
    """How many files, folders and so on items are: the parts of a huge file are one."""
    return sum(item.part_offset == 0 for item in items)


class _Cursor:
    """Goes through the parent's entries, one manifest in memory at a time."""

    def __init__(self, parents: Sequence[ManifestRef], read: ReadEntries) -> None:
        self._entries = ((ref, entry) for ref in parents for entry in read(ref))
        self.ref: ManifestRef | None = None
        self.entry: Entry | None = None
        self.advance()

    def advance(self) -> None:
        """Go to the parent's next entry; None after the last."""
        self.ref, self.entry = next(self._entries, (self.ref, None))


class _Cutter:
    """Collects the items in the range of one parent manifest, and the segment that is being filled."""

    def __init__(self) -> None:
        self.ref: ManifestRef | None = None
        self.waiting: list[WorkItem] = []
        """Items of the range of `ref`, unchanged, as long as nothing in it has changed."""
        self.changed = True  # before the first manifest there is nothing to keep
        self._items: list[WorkItem] = []
        self._parents: list[ManifestRef] = []
        self._unread = 0

    def enter(self, ref: ManifestRef | None) -> Iterator[Segment | Kept]:
        """The next items are in the range of `ref`."""
        if ref is self.ref:
            return
        yield from self._leave()
        self.ref = ref
        self.changed = False

    def take(self, item: WorkItem, size: int) -> Iterator[Segment | Kept]:
        """Put an item with `size` bytes to read into the segment; a part of a huge file gets one of its own."""
        if not self.changed:
            yield from self.gone()
        alone = size > 0 and item.part_length != WHOLE
        if alone or self._is_full(size):
            yield from self._close()
        self._put(item)
        self._unread += size
        if alone:
            yield from self._close()

    def gone(self) -> Iterator[Segment | Kept]:
        """Something in the current range is not as it was: its manifest cannot be kept."""
        if self.changed:
            return
        self.changed = True
        waiting, self.waiting = self.waiting, []
        for item in waiting:
            if self._is_full(0):
                yield from self._close()
            self._put(item)

    def finish(self) -> Iterator[Segment | Kept]:
        """There are no more items."""
        yield from self._leave()
        yield from self._close()

    def _is_full(self, size: int) -> bool:
        return bool(self._items) and (
            self._unread + size > SEGMENT_BYTES or len(self._items) >= SEGMENT_ITEMS
        )

    def _put(self, item: WorkItem) -> None:
        if self.ref is not None and (not self._parents or self._parents[-1] is not self.ref):
            self._parents.append(self.ref)
        self._items.append(item)

    def _close(self) -> Iterator[Segment | Kept]:
        if self._items:
            yield Segment(self._items, self._parents, self._unread)
        self._items, self._parents, self._unread = [], [], 0

    def _leave(self) -> Iterator[Segment | Kept]:
        if self.ref is not None and not self.changed:
            self.waiting = []
            yield from self._close()
            yield Kept(self.ref)
