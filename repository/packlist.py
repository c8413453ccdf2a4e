"""The packs in a store by number, in the order of their ids, with sums of their chunks: 42 bytes a pack."""

from array import array
from bisect import bisect_left
from typing import Final

from repository.errors import ObjectDamaged
from repository.layout import ID
from repository.manifest import PackSummary
from repository.pack import RECORD

NAMED: Final = 1
"""By an index object."""
GOING: Final = 2
"""To be no chunk's home if it has another."""


class PackList:
    """Packs, added in ascending order.

    Attributes:
        flags: of each, NAMED or GOING or both.
        sizes: bytes of each pack that is named.
        totals: sealed bytes of its chunks.
        used: how many of these are in use.
    """

    def __init__(self) -> None:
        self._ids = bytearray()
        self.flags = bytearray()
        self.sizes = array("Q")
        self.totals = array("Q")
        self.used = array("Q")

    def __len__(self) -> int:
        return len(self.flags)

    def __getitem__(self, number: int) -> bytes:
        """The id of the pack with this number."""
        return bytes(self._ids[number * ID : number * ID + ID])

    def add(self, pack_id: bytes, flags: int = 0) -> None:
        """A pack in the store.

        Raises:
            ObjectDamaged: it comes after one that it should come before.
        """
        if self.flags and self[len(self) - 1] >= pack_id:
            raise ObjectDamaged(f"pack {pack_id.hex()} is listed out of order")
        self._ids += pack_id
        self.flags.append(flags)
        for column in (self.sizes, self.totals, self.used):
            column.append(0)

    def number_of(self, pack_id: bytes) -> int:
        """Of a pack; -1 if the store does not have it."""
        number = bisect_left(self, pack_id)
        return number if number < len(self) and self[number] == pack_id else -1

    def name(self, number: int, summary: PackSummary) -> bool:
        """Take note of what an index object says of a pack; False if another one has said so."""
        if self.flags[number] & NAMED:
            return False
        self.flags[number] |= NAMED
        self.sizes[number] = summary.size
        self.totals[number] = sum(sealed for _, _, sealed, _, _ in RECORD.iter_unpack(summary.records))
        return True
