"""Kinds and stamps: what one lstat says about whether a thing is still the same.

Size and mtime alone miss an edit that puts the mtime back; ctime cannot be put back, and the inode number
shows a replacement (restic compares the same four).
"""

import os
import stat
import struct
import time
from typing import Final

from sources.source import Kind

STAMP_LENGTH: Final = 32
UNSETTLED: Final = bytes(STAMP_LENGTH)
"""The stamp that never equals one of a walk (no file has inode 0)."""

TICK_NS: Final = 20_000_000
"""Before Linux 6.13 a file gets the time of the last tick (10 ms at 100 Hz): changes within it look alike."""

KINDS: Final[dict[int, Kind]] = {
    stat.S_IFREG: "f",
    stat.S_IFDIR: "d",
    stat.S_IFLNK: "l",
    stat.S_IFIFO: "p",
    stat.S_IFCHR: "c",
    stat.S_IFBLK: "b",
}

_pack = struct.Struct(">QqqQ").pack
_MASK: Final = (1 << 63) - 1


def stamp_of(st: os.stat_result) -> bytes:
    """The stamp: size, mtime and ctime in ns, inode."""
    try:
        return _pack(st.st_size, st.st_mtime_ns, st.st_ctime_ns, st.st_ino)
    except struct.error:  # a time beyond the year 2262
        return _pack(st.st_size, st.st_mtime_ns & _MASK, st.st_ctime_ns & _MASK, st.st_ino)


def settled_stamp(st: os.stat_result) -> bytes:
    """The stamp to remember for content read now: `UNSETTLED` when a later change could carry the same times.

    The same care as borg's files cache, which leaves out the newest files: they are read once more next time.
    """
    return UNSETTLED if time.time_ns() - st.st_ctime_ns < TICK_NS else stamp_of(st)
