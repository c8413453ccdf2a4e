"""Reading: metadata of any thing, and the content of a regular file straight into the reused buffer."""

import errno
import os
import stat
from typing import Final

from sources.filesystem.guard import NOTHING, Guard
from sources.filesystem.longpath import PATH_LIMIT, reachable
from sources.filesystem.metadata import encode, meta_of, read_xattrs
from sources.filesystem.stamps import KINDS, settled_stamp, stamp_of
from sources.source import Kind, ReadItem, Replaced, Sink, Skipped, unreadable, without_path

MAX_RANGES: Final = 65_536
"""Data ranges kept of one sparse file; what follows the last is read as if it had no holes."""

PSEUDO_LIMIT: Final = 16 << 20
"""Bytes read of a file that claims to be empty but is not, as in /proc."""

# O_NONBLOCK: what was a file when listed may be a FIFO by now, and opening that must not wait for a writer.
_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_FLAGS_UNSEEN: Final = _FLAGS | os.O_NOATIME
_FORMAT: Final = 0o170000
_REPLACED: Final = "was replaced by something else before it could be read"

Ranges = tuple[tuple[int, int], ...]


def describe(path: bytes, kind: Kind | None = None) -> ReadItem:
    """The metadata of any thing, with a link's target; no content. Size is 0 unless it is a regular file.

    Args:
        path: absolute.
        kind: what it was when it was listed, to be told when it no longer is.

    Raises:
        Vanished: it is gone.
        Replaced: it is not a `kind` any more.
        Skipped: it is a socket.
        Unreadable: the system refuses.
    """
    try:
        if len(path) <= PATH_LIMIT:
            return _describe(path, path, kind)
        with reachable(path) as near:
            return _describe(near, path, kind)
    except OSError as error:
        raise unreadable(path, error) from without_path(error)


def _describe(near: bytes, path: bytes, kind: Kind | None) -> ReadItem:
    st = os.lstat(near)
    now = KINDS.get(stat.S_IFMT(st.st_mode))
    if kind is not None and now != kind:
        raise Replaced(path, _REPLACED)
    if now is None:
        raise Skipped(path, "a socket has no content and is not backed up")
    target = b""
    if now == "l":
        try:
            target = os.readlink(near)
        except OSError as error:
            if error.errno == errno.EINVAL:
                raise Replaced(path, _REPLACED) from without_path(error)
            raise
    xattrs, warnings = read_xattrs(near)
    meta = encode(meta_of(now, st, target, xattrs))
    return ReadItem(settled_stamp(st), st.st_size if now == "f" else 0, meta, (), "", warnings)


def read(
    path: bytes,
    sink: Sink,
    offset: int = 0,
    length: int | None = None,
    seen: bytes = b"",
    guard: Guard = NOTHING,
) -> ReadItem:
    """Reads a regular file, or [offset, offset + length) of it, into `sink`; holes are not delivered.

    Never more than the size at the time of opening, so that a growing file ends. When the file shrank, what
    is there is delivered, `changed` says so, and `size` (of a whole file) or `ranges` (of a part) tell how
    much it was.

    Args:
        seen: the stamp of the walk. The parts of a file are read one by one, in any process: they are of one state
            of it if each finds the file as the walk saw it, and `changed` says when this one does not.
        guard: what must not be read, also when it has come to this path after the walk.

    Raises:
        Skipped: it is guarded.
        Vanished, Replaced, Unreadable: also in the middle; the caller then drops the bytes already delivered.
    """
    try:
        if len(path) <= PATH_LIMIT:
            return _read(path, path, sink, offset, length, seen, guard)
        with reachable(path) as near:
            return _read(near, path, sink, offset, length, seen, guard)
    except OSError as error:
        raise unreadable(path, error) from without_path(error)


def look(path: bytes, offset: int, out: memoryview) -> int:
    """Fill `out` with the bytes of a regular file from `offset` on; returns how many there were.

    Nothing depends on what is found: 0 also when it cannot be read, which `read` will tell.
    """
    try:
        with reachable(path) as near:
            fd = _open(near)
            try:
                return os.preadv(fd, [out], offset) if stat.S_ISREG(os.fstat(fd).st_mode) else 0
            finally:
                os.close(fd)
    except OSError:
        return 0


def _open(near: bytes) -> int:
    try:
        return os.open(near, _FLAGS_UNSEEN)
    except PermissionError:  # O_NOATIME is for the owner and root
        return os.open(near, _FLAGS)


def _read(
    near: bytes, path: bytes, sink: Sink, offset: int, length: int | None, seen: bytes, guard: Guard
) -> ReadItem:
    fd = _open(near)
    try:
        before = os.fstat(fd)
        if before.st_mode & _FORMAT != stat.S_IFREG:
            raise Replaced(path, _REPLACED)
        if why := guard.forbids(before):
            raise Skipped(path, why)
        stamp = settled_stamp(before)
        whole = offset == 0 and length is None
        size = before.st_size
        end = size if length is None else min(size, offset + length)
        ranges = _data_map(fd, offset, end) if before.st_blocks << 9 < size else ()
        if ranges:
            delivered = _copy_ranges(fd, sink, ranges)
        elif size == 0 and whole:
            size = end = _copy(fd, sink, 0, PSEUDO_LIMIT)
            delivered = ()
        else:
            got = _copy(fd, sink, offset, end - offset)
            delivered = () if got >= end - offset else ((offset, got),)
        xattrs, warnings = read_xattrs(fd)
        meta = encode(meta_of("f", before, b"", xattrs))
        changed = _changed(before, os.fstat(fd))
    finally:
        os.close(fd)
    if delivered != ranges:
        changed = "shrank while it was read"
        if whole:
            size = sum(delivered[-1])
            delivered = () if delivered == ((0, size),) else delivered
    elif length is not None and offset + length > before.st_size:
        changed = "shrank before it was read"
        delivered = delivered or ((offset, max(0, end - offset)),)
    elif length is not None and seen and stamp_of(before) != seen:
        changed = "was modified before all of its parts were read"
    elif size == PSEUDO_LIMIT and before.st_size == 0:
        changed = "claims to be empty and does not end"
    return ReadItem(stamp, size, meta, delivered, changed, warnings)


def _changed(before: os.stat_result, after: os.stat_result) -> str:
    if after.st_size != before.st_size:
        return f"{'grew' if after.st_size > before.st_size else 'shrank'} while it was read"
    if after.st_mtime_ns != before.st_mtime_ns or after.st_ctime_ns != before.st_ctime_ns:
        return "was modified while it was read"
    return ""


def _copy(fd: int, sink: Sink, offset: int, count: int) -> int:
    """Moves up to `count` bytes from `offset` on into the sink; returns how many there were."""
    done = 0
    while done < count:
        got = os.preadv(fd, (sink.space()[: count - done],), offset + done)
        if got == 0:
            break
        sink.filled(got)
        done += got
    return done


def _copy_ranges(fd: int, sink: Sink, ranges: Ranges) -> Ranges:
    """Delivers the ranges in turn; returns them, or those delivered when the file ended early."""
    for number, (start, count) in enumerate(ranges):
        got = _copy(fd, sink, start, count)
        if got < count:
            return (*ranges[:number], (start, got))
    return ranges


def _data_map(fd: int, start: int, end: int) -> Ranges:
    """Where [start, end) has data: () for everywhere (or who knows), (start, 0) for nowhere."""
    ranges: list[tuple[int, int]] = []
    at = start
    while at < end:
        try:
            data = os.lseek(fd, at, os.SEEK_DATA)
            if data >= end:
                break
            stop = min(end, os.lseek(fd, data, os.SEEK_HOLE))
        except OSError as error:
            if error.errno == errno.ENXIO:  # no data from here to the end
                break
            if error.errno in (errno.EINVAL, errno.ENOTSUP):
                return ()
            raise
        if len(ranges) == MAX_RANGES - 1:
            stop = end
        ranges.append((data, stop - data))
        at = stop
    if ranges == [(start, end - start)] or start >= end:
        return ()
    return tuple(ranges) or ((start, 0),)
