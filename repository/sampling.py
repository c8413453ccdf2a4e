"""Which packs a check reads when it is not to read all of them."""

from random import SystemRandom
from typing import Final

from crypto.job import MILLIONTHS, Subset
from repository.census import CHOSEN, MISSING, REPEATED, PackTable

_ID_BYTES: Final = 4
"""Bytes of a pack's random id that say which part it is of."""


def choose(packs: PackTable, subset: Subset | None) -> tuple[int, int]:
    """Mark the packs to read, of those that are there; how many and how many bytes they are.

    A part is the same packs each time, whatever else was stored since. A share or a size is drawn anew each time, and
    is one pack at least.

    Args:
        subset: None for all.
    """
    there = [0, 0]
    for number, size in enumerate(packs.sizes):
        if not packs.marks[number] & (MISSING | REPEATED):
            there[0] += 1
            there[1] += size
    drawn = _drawn(subset, *there)
    count = total = seen = 0
    dice = SystemRandom()
    for number, size in enumerate(packs.sizes):
        if packs.marks[number] & (MISSING | REPEATED):
            continue
        if subset is not None and subset.parts:
            taken = int.from_bytes(packs.id_of(number)[:_ID_BYTES], "big") % subset.parts == subset.part - 1
        else:
            # As many of those that are left as are still to be taken: each set of that size is as likely as another.
            taken = dice.randrange(there[0] - seen) < drawn - count
        seen += 1
        if taken:
            packs.marks[number] |= CHOSEN
            count += 1
            total += size
    return count, total


def _drawn(subset: Subset | None, count: int, byte_count: int) -> int:
    """How many of `count` packs are drawn."""
    if subset is None:
        return count
    share = subset.share / MILLIONTHS if subset.share else subset.size / max(byte_count, 1)
    return min(count, max(1, int(count * share)))
