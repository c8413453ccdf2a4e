"""Large scratch buffers: private memory that costs nothing until it is touched and is in no core dump."""

import mmap

_GRAIN = 2 << 20
"""The size of a huge page: whole ones fault in at once."""


def scratch(size: int) -> memoryview:
    """`size` writable zero bytes, not shared with processes forked later; freed with the last view."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_DONTDUMP)
    memory.madvise(mmap.MADV_HUGEPAGE)  # one page fault for 2 MiB instead of 512 of them
    return memoryview(memory)


class Reused:
    """One scratch buffer, handed out again and again: fresh memory costs more than what is done with it."""

    def __init__(self) -> None:
        self._whole = memoryview(b"")

    def take(self, size: int) -> memoryview:
        """`size` bytes with anything in them; whoever took them before has them no longer."""
        if size > len(self._whole):
            self._whole = memoryview(b"")  # first, so that the two are not in memory at once
            self._whole = scratch(-(-size // _GRAIN) * _GRAIN)
        return self._whole[:size]
