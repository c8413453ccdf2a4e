"""From the entries of a manifest to parcels of bounded size: which chunks go together, and what each file gets of them.

Pure. Chunks are taken in the order in which the files need them, so that a chunk shared by neighbours travels once.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from crypto.parcel import Piece
from repository.manifest import Entry

PARCEL_BYTES = 8 << 20
"""Small enough that what is in work at a time stays in the processor's cache, large enough that the public-key
operations and messages of a parcel, a millisecond together, do not count."""
PARCEL_PIECES = 4096


@dataclass
class Batch:
    """What one parcel will hold. `chunks` are chunk numbers of the manifest; pieces refer to them by position."""

    chunks: list[int] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    size: int = 0
    _local: dict[int, int] = field(default_factory=dict)

    def holds(self, number: int) -> bool:
        """Whether the chunk is in this batch already."""
        return number in self._local

    def place(self, number: int, size: int) -> int:
        """The chunk's position in this batch; added when it is new."""
        at = self._local.get(number)
        if at is None:
            at = self._local[number] = len(self.chunks)
            self.chunks.append(number)
            self.size += size
        return at


def batches(entries: Iterable[Entry], stored_size: Callable[[int], int]) -> Iterator[Batch]:
    """Cut the delivery of some entries of one manifest into batches, in order.

    Args:
        stored_size: how many bytes a chunk (by its number) takes in a parcel.
    """
    batch = Batch()
    for entry in entries:
        extents: list[int] = []
        sent = begun = 0
        flat = entry.extents
        for i in range(0, len(flat), 3):
            number, offset, length = flat[i : i + 3]
            if not batch.holds(number) and batch.size and batch.size + stored_size(number) > PARCEL_BYTES:
                if extents:
                    batch.pieces.append(_piece(entry, begun, False, extents))
                yield batch
                batch, extents, begun = Batch(), [], sent
            extents += (batch.place(number, stored_size(number)), offset, length)
            sent += length
        batch.pieces.append(_piece(entry, begun, True, extents))
        if len(batch.pieces) >= PARCEL_PIECES:
            yield batch
            batch = Batch()
    if batch.pieces:
        yield batch


def _piece(entry: Entry, data_offset: int, last: bool, extents: list[int]) -> Piece:
    return Piece(
        path=entry.path,
        kind=entry.kind,
        size=entry.size,
        meta=entry.meta,
        digest=entry.digest,
        ranges=tuple(entry.ranges),
        part_offset=entry.part_offset,
        part_length=entry.part_length,
        data_offset=data_offset,
        last=last,
        extents=tuple(extents),
    )
