"""Large scratch buffers: private memory that costs nothing until it is touched and is in no core dump."""

import mmap


def scratch(size: int) -> memoryview:
    """`size` writable zero bytes, not shared with processes forked later; freed with the last view."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_DONTDUMP)
    memory.madvise(mmap.MADV_HUGEPAGE)  # one page fault for 2 MiB instead of 512 of them
    return memoryview(memory)
