"""Cutting a walk into segments: pure, without files, keys or queues.

The walk and the parent snapshot come in the same order, so one pass side by side tells what is new, changed or gone.
A manifest of the parent in whose range nothing changed is kept as it is; around the rest, segments of contiguous
paths are cut, each small enough for one task.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from repository.manifest import WHOLE, Entry, ManifestRef, WorkItem
from sources.source import Found, order_key

SEGMENT_BYTES = 64 << 20
"""A segment is closed when it has this many bytes to read."""
SEGMENT_ITEMS = 16_384
PART = 128 << 20
"""A larger file is cut into ranges of this many bytes, each a segment of its own."""

ReadEntries = Callable[[ManifestRef], Sequence[Entry]]
_Key = tuple[bytes, int]


class Segment(NamedTuple):
    """What one task has to do. `unread` counts the bytes that it has to read."""

    items: list[WorkItem]
    parents: list[ManifestRef]
    unread: int


class Kept(NamedTuple):
    """A manifest of the parent that goes into the new snapshot unchanged."""

    ref: ManifestRef


def expand(walk: Iterable[Found]) -> Iterator[WorkItem]:
    """Work items of a walk; a huge file becomes several, one for each range."""
    for path, kind, size, stamp in walk:
        if size <= PART:
            yield WorkItem(path, kind, size, stamp)
        else:
            for offset in range(0, size, PART):
                yield WorkItem(path, kind, size, stamp, offset, min(PART, size - offset))


def cut(
    items: Iterable[WorkItem], parents: Sequence[ManifestRef], read: ReadEntries
) -> Iterator[Segment | Kept]:
    """Compare items with the parent's manifests and cut what changed into segments, in path order.

    Args:
        items: in path order, parts of a file in ascending order.
        parents: the parent snapshot's manifests in its order.
        read: the entries of one of them; called once for each, in order.
    """
    cursor = _Cursor(parents, read)
    cutter = _Cutter()
    for item in items:
        same = False
        if cursor.key is not None:
            key = (order_key(item.path), item.part_offset)
            while cursor.is_before(key):
                yield from cutter.enter(cursor.ref)
                yield from cutter.gone()
                cursor.advance()
            if cursor.key == key and cursor.entry is not None:
                yield from cutter.enter(cursor.ref)
                same = _same(cursor.entry, item)
                cursor.advance()
        if same and cutter.waits(item):
            continue
        if not cutter.changed:
            yield from cutter.gone()
        size = 0 if same else span(item)
        if cutter.is_full(size):
            yield from cutter.close()
        cutter.take(item, size)
    while cursor.key is not None:
        yield from cutter.enter(cursor.ref)
        yield from cutter.gone()
        cursor.advance()
    yield from cutter.finish()


def _same(entry: Entry, item: WorkItem) -> bool:
    return entry.stamp == item.stamp and entry.kind == item.kind and entry.part_length == item.part_length


def span(item: WorkItem) -> int:
    """Bytes of the file, or of its part, that an item covers."""
    return item.size if item.part_length == WHOLE else item.part_length


class _Cursor:
    """Goes through the parent's entries, one manifest in memory at a time."""

    def __init__(self, parents: Sequence[ManifestRef], read: ReadEntries) -> None:
        self._entries = ((ref, entry) for ref in parents for entry in read(ref))
        self.ref: ManifestRef | None = None
        self.entry: Entry | None = None
        self.key: _Key | None = None
        self.advance()

    def is_before(self, key: _Key) -> bool:
        """Whether the parent's next entry comes before `key`."""
        return self.key is not None and self.key < key

    def advance(self) -> None:
        """Go to the parent's next entry."""
        found = next(self._entries, None)
        if found is None:
            self.entry = self.key = None
            return
        self.ref, self.entry = found
        self.key = (order_key(self.entry.path), self.entry.part_offset)


class _Cutter:
    """Collects the items in the range of one parent manifest, and the segment that is being filled."""

    def __init__(self) -> None:
        self._ref: ManifestRef | None = None
        self._waiting: list[WorkItem] = []  # unchanged so far, in the range of _ref
        self.changed = True  # before the first manifest there is nothing to keep
        self._items: list[WorkItem] = []
        self._parents: list[ManifestRef] = []
        self._unread = 0

    def enter(self, ref: ManifestRef | None) -> Iterator[Segment | Kept]:
        """The next items are in the range of `ref`."""
        if ref is self._ref:
            return
        yield from self._leave()
        self._ref = ref
        self.changed = False

    def waits(self, item: WorkItem) -> bool:
        """Keep an unchanged item aside, as long as nothing in the range has changed."""
        if self.changed:
            return False
        self._waiting.append(item)
        return True

    def is_full(self, size: int) -> bool:
        """Whether the segment has no room for an item with `size` bytes to read."""
        return bool(self._items) and (
            self._unread + size > SEGMENT_BYTES or len(self._items) >= SEGMENT_ITEMS
        )

    def take(self, item: WorkItem, size: int) -> None:
        """Put an item into the segment."""
        if self._ref is not None and (not self._parents or self._parents[-1] is not self._ref):
            self._parents.append(self._ref)
        self._items.append(item)
        self._unread += size

    def gone(self) -> Iterator[Segment | Kept]:
        """Something in the current range is not as it was: its manifest cannot be kept."""
        if self.changed:
            return
        self.changed = True
        waiting, self._waiting = self._waiting, []
        for item in waiting:
            if self.is_full(0):
                yield from self.close()
            self.take(item, 0)

    def finish(self) -> Iterator[Segment | Kept]:
        """There are no more items."""
        yield from self._leave()
        yield from self.close()

    def close(self) -> Iterator[Segment | Kept]:
        """Hand out the segment that is being filled, and begin another."""
        if self._items:
            yield Segment(self._items, self._parents, self._unread)
        self._items, self._parents, self._unread = [], [], 0

    def _leave(self) -> Iterator[Segment | Kept]:
        if self._ref is not None and not self.changed:
            self._waiting = []
            yield from self.close()
            yield Kept(self._ref)
