"""Paths longer than the kernel takes in one call.

A tree can be deeper than PATH_MAX (4096 bytes, the NUL included): the kernel limits a path in one call, not a
place. Such a place is reached by opening a directory part of the way and naming the rest from there, through
/proc/self/fd.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

PATH_LIMIT: Final = 4000
"""Longest path passed to the kernel as it is: PATH_MAX less room for one /proc/self/fd/N/."""

_STEP: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


@contextmanager
def reachable(path: bytes) -> Iterator[bytes]:
    """Yields a short path that means the same place as `path` while the block runs.

    Raises:
        OSError: as opening any directory on the way would.
    """
    if len(path) <= PATH_LIMIT:
        yield path
        return
    near = -1
    rest = path
    try:
        while len(rest) > PATH_LIMIT:
            cut = rest.rindex(b"/", 0, PATH_LIMIT)
            step = os.open(rest[:cut], _STEP, dir_fd=None if near < 0 else near)
            if near >= 0:
                os.close(near)
            near, rest = step, rest[cut + 1 :]
        yield b"/proc/self/fd/%d/%s" % (near, rest)
    finally:
        if near >= 0:
            os.close(near)
