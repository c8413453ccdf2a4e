"""Comparing two trees: every byte, and everything about each thing that a restore gives back."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_PIECE = 1 << 20


class Difference(NamedTuple):
    """Something that is not the same on both sides; `path` is relative to the trees."""

    path: bytes
    what: str


class Comparison(NamedTuple):
    """How much was compared, and what differs."""

    things: int
    byte_count: int
    differences: list[Difference]


def compare(left: Path, right: Path, skip: frozenset[bytes] = frozenset()) -> Comparison:
    """Compare two folders with all that is in them; sockets, which are never backed up, are left out.

    Args:
        skip: names that are left out, with all that is below them.

    Raises:
        OSError: something cannot be read.
    """
    things = byte_count = 0
    differences: list[Difference] = []
    names: dict[tuple[int, int], bytes] = {}
    first, second = os.fsencode(left), os.fsencode(right)
    for path in _walk(first, skip):
        below = path[len(first) :]
        ours, other = os.lstat(path), second + below
        if stat.S_ISSOCK(ours.st_mode):
            continue
        things += 1
        if not os.path.lexists(other):
            differences.append(Difference(below, "is missing"))
            continue
        theirs = os.lstat(other)
        differences += [Difference(below, what) for what in _metadata(path, other, ours, theirs)]
        if stat.S_ISREG(ours.st_mode):
            byte_count += ours.st_size
            if not _same_bytes(path, other):
                differences.append(Difference(below, "has other content"))
            if ours.st_nlink > 1:
                twin = names.setdefault((ours.st_dev, ours.st_ino), below)
                if not os.path.samefile(second + twin, other):
                    differences.append(Difference(below, "is no longer the same file under two names"))
    extra = {path[len(second) :] for path in _walk(second, skip)}
    extra -= {path[len(first) :] for path in _walk(first, skip)}
    differences += [Difference(path, "was not there before") for path in sorted(extra)]
    return Comparison(things, byte_count, differences)


def _walk(root: bytes, skip: frozenset[bytes]) -> Iterator[bytes]:
    yield root
    if os.path.isdir(root) and not os.path.islink(root):
        for folder, folders, files in os.walk(root):
            folders[:] = [name for name in folders if name not in skip]
            yield from (os.path.join(folder, name) for name in sorted(folders + files) if name not in skip)


def _metadata(path: bytes, other: bytes, ours: os.stat_result, theirs: os.stat_result) -> Iterator[str]:
    if stat.S_IFMT(ours.st_mode) != stat.S_IFMT(theirs.st_mode):
        yield "is another kind of thing"
        return
    if ours.st_mode != theirs.st_mode and not stat.S_ISLNK(ours.st_mode):
        yield f"has mode {theirs.st_mode:o}, not {ours.st_mode:o}"
    if (ours.st_uid, ours.st_gid) != (theirs.st_uid, theirs.st_gid) and os.geteuid() == 0:
        yield f"belongs to {theirs.st_uid}:{theirs.st_gid}, not {ours.st_uid}:{ours.st_gid}"
    if ours.st_mtime_ns != theirs.st_mtime_ns:
        yield f"has mtime {theirs.st_mtime_ns}, not {ours.st_mtime_ns}"
    if stat.S_ISREG(ours.st_mode) and ours.st_size != theirs.st_size:
        yield f"has {theirs.st_size} bytes, not {ours.st_size}"
    if stat.S_ISLNK(ours.st_mode) and os.readlink(path) != os.readlink(other):
        yield "points elsewhere"
    if (stat.S_ISCHR(ours.st_mode) or stat.S_ISBLK(ours.st_mode)) and ours.st_rdev != theirs.st_rdev:
        yield "is another device"
    if _xattrs(path) != _xattrs(other):
        yield "has other extended attributes"


def _xattrs(path: bytes) -> dict[str, bytes]:
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return {}
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in names}


def _same_bytes(left: bytes, right: bytes) -> bool:
    with open(left, "rb") as one, open(right, "rb") as two:
        while True:
            piece = one.read(_PIECE)
            if piece != two.read(_PIECE):
                return False
            if not piece:
                return True
