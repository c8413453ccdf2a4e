"""Trees that are hard to back up, and everything about a tree that a restore must give back.

Independent of the product's own walk and comparison: only directory handles, so that no path is too long.
"""

import ctypes
import errno
import hashlib
import os
import random
import socket
import stat
import struct
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

SEGMENT = 64 << 20
"""A segment of a backup is closed before it has more bytes to read than this (docs/architecture.md)."""
DEEP, DEEP_NAME = 60, "n" * 100
"""So many directories of that name in each other are a path that the kernel does not take in one piece."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW

Picture = dict[bytes, tuple[object, ...]]


def pad(path: Path, size: int = SEGMENT) -> None:
    """A file that costs nothing and ends a segment: it is all hole, but its size counts."""
    with path.open("wb") as file:
        file.truncate(size)


def acl(*named: tuple[int, int, int]) -> bytes:
    """A POSIX ACL as the kernel stores it: version 2, then (tag, permissions, id), see acl(5)."""
    nobody = 0xFFFFFFFF
    entries = [(0x01, 6, nobody), *named, (0x04, 4, nobody), (0x10, 6, nobody), (0x20, 0, nobody)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def make_nasty(root: Path) -> set[bytes]:
    """Fill `root` with one of each thing that backup programs get wrong; returns what is no part of a backup."""
    root.mkdir()
    _modes(root)
    _links(root)
    _nodes(root)
    _names(root)
    _attributes(root)
    _sparse(root)
    _deep(root)
    (root / "empty-dir").mkdir()
    (root / "empty-file").touch()
    with socket.socket(socket.AF_UNIX) as server:
        # Bound from inside: the path of a socket may not be longer than 107 bytes.
        here = os.open(".", _DIRECTORY)
        os.chdir(root)
        try:
            server.bind("socket")
        finally:
            os.fchdir(here)
            os.close(here)
    for number, path in enumerate(sorted(root.iterdir())):
        if path.is_dir():
            os.utime(path, ns=(1, 1_100_000_000_000_000_001 + number))
    os.utime(root / "empty-dir", ns=(1, -1_234_567_891))
    os.utime(root, ns=(1, 987_654_321_123_456_789))
    return {b"/socket"}


def _modes(root: Path) -> None:
    (root / "modes").mkdir()
    for number, mode in enumerate((0o4755, 0o2755, 0o6711, 0o1777, 0o000, 0o604, 0o777)):
        for path in (root / "modes" / f"file{number}", root / "modes" / f"dir{number}"):
            path.mkdir() if path.name[0] == "d" else path.write_bytes(b"x" * number)
            os.chown(path, 1000 + number, 2000 + number)
            path.chmod(mode)
            os.utime(path, ns=(7, 1_000_000_007_000_000_001 + number))


def _links(root: Path) -> None:
    """Names of one file in different segments: the holes between them fill more than one."""
    for name in ("links-a", "links-m", "links-z"):
        (root / name).mkdir()
    (root / "links-a" / "first").write_bytes(random.Random(1).randbytes(300_000))
    (root / "links-a" / "huge").write_bytes(b"begin")
    os.truncate(root / "links-a" / "huge", 2 * SEGMENT + 4096)  # large enough for parts
    pad(root / "links-m" / "hole1")
    pad(root / "links-m" / "hole2")
    os.link(root / "links-a" / "first", root / "links-z" / "second")
    os.link(root / "links-a" / "first", root / "links-m" / "third")
    os.link(root / "links-a" / "huge", root / "links-z" / "huge")
    (root / "links-a" / "symbolic").symlink_to("x" * 200)
    os.link(root / "links-a" / "symbolic", root / "links-z" / "symbolic", follow_symlinks=False)
    os.mkfifo(root / "links-a" / "fifo")
    os.link(root / "links-a" / "fifo", root / "links-z" / "fifo")


def _nodes(root: Path) -> None:
    nodes = root / "nodes"
    nodes.mkdir()
    os.mkfifo(nodes / "fifo", 0o640)
    os.mknod(nodes / "null", 0o20666, os.makedev(1, 3))
    os.mknod(nodes / "block", 0o60640, os.makedev(10, 20))
    (nodes / "dangling").symlink_to("nowhere/at/all")
    (nodes / "absolute").symlink_to("/etc/passwd")
    (nodes / "outside").symlink_to("../../../..")
    (nodes / "bytes").symlink_to(os.fsdecode(b"\xe2\x28\xa1"))
    for number, name in enumerate(("fifo", "null", "dangling")):
        os.chown(nodes / name, 300, 400, follow_symlinks=False)
        os.utime(nodes / name, ns=(5, 5_000_000_005 + number), follow_symlinks=False)


def _names(root: Path) -> None:
    names = [
        b"\xe2\x28\xa1",
        b"new\nline",
        b"-rf",
        b"*",
        b"back\\slash",
        b"\xff" * 255,
        b"n" * 255,
        b"...",
        b" ",
    ]
    names += ["é".encode(), "é".encode(), "文件".encode(), b"\x1b[31mred", b"tab\there"]
    for number, name in enumerate(names):
        folder = os.fsencode(root) + b"/names/%02d-" % number + name[:100]
        os.makedirs(folder)
        with open(folder + b"/" + name, "wb") as file:
            file.write(name)


def _attributes(root: Path) -> None:
    folder = root / "attributes"
    folder.mkdir()
    for path in (folder / "file", folder / "dir"):
        path.mkdir() if path.name == "dir" else path.write_bytes(b"x")
        os.setxattr(path, "user.empty", b"")
        os.setxattr(path, "user.bytes", b"\0value\xff" * 100)
        os.setxattr(path, "trusted.ours", b"1")
        os.setxattr(path, "system.posix_acl_access", acl((0x02, 6, 9999)))
    os.setxattr(folder / "dir", "system.posix_acl_default", acl((0x02, 4, 8888)))
    (folder / "dir" / "inherits").write_bytes(b"")
    (folder / "link").symlink_to("file")
    os.setxattr(folder / "link", "trusted.link", b"2", follow_symlinks=False)
    # cap_net_bind_service, permitted and effective; a chown after it would clear it
    os.setxattr(folder / "file", "security.capability", struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0))


def _sparse(root: Path) -> None:
    folder = root / "sparse"
    folder.mkdir()
    for name, pieces in {
        "middle": {64 << 10: b"in the middle" * 1000},
        "end": {(1 << 20) - 3: b"end"},
        "begin": {0: b"begin" * 1000},
        "many": {n << 17: b"x" * 4096 for n in range(8)},
        "hole": {},
    }.items():
        with (folder / name).open("wb") as file:
            for offset, data in pieces.items():
                file.seek(offset)
                file.write(data)
            file.truncate(1 << 20)


def _deep(root: Path) -> None:
    (root / "deep").mkdir()
    fd = os.open(root / "deep", _DIRECTORY)
    for _ in range(DEEP):
        os.mkdir(DEEP_NAME, 0o755, dir_fd=fd)
        below = os.open(DEEP_NAME, _DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = below
    with open(os.open("file", os.O_CREAT | os.O_WRONLY, 0o640, dir_fd=fd), "wb") as file:
        file.write(b"deep down")
    os.utime("file", ns=(1, 2_000_000_002), dir_fd=fd)
    os.close(fd)


def picture(root: Path) -> Picture:
    """Everything about a tree by path relative to it: kind, mode, owner, times, content, attributes, links, holes."""
    seen: Picture = {}
    fd = os.open(root, _DIRECTORY)
    try:
        seen[b""] = _described(os.fsencode(f"/proc/self/fd/{fd}/."), os.fstat(fd), b"", {})
        _look(fd, b"", seen, {})
    finally:
        os.close(fd)
    return seen


def _look(fd: int, below: bytes, seen: Picture, first_names: dict[int, bytes]) -> None:
    for name in sorted(os.fsencode(each) for each in os.listdir(fd)):
        path = below + b"/" + name
        near = b"/proc/self/fd/%d/" % fd + name
        st = os.lstat(near)
        seen[path] = _described(near, st, path, first_names)
        if stat.S_ISDIR(st.st_mode):
            inner = os.open(near, _DIRECTORY)
            try:
                _look(inner, path, seen, first_names)
            finally:
                os.close(inner)


def _described(
    near: bytes, st: os.stat_result, path: bytes, first_names: dict[int, bytes]
) -> tuple[object, ...]:
    regular, link = stat.S_ISREG(st.st_mode), stat.S_ISLNK(st.st_mode)
    folder, device = stat.S_ISDIR(st.st_mode), st.st_rdev
    attributes = {
        name: os.getxattr(near, name, follow_symlinks=False)
        for name in sorted(os.listxattr(near, follow_symlinks=False))
    }
    return (
        oct(st.st_mode),
        st.st_uid,
        st.st_gid,
        st.st_mtime_ns,
        0 if folder else st.st_size,
        _data(near, st.st_size) if regular else (),
        device,
        os.readlink(near) if link else b"",
        _digest(near) if regular else "",
        attributes,
        () if folder else (st.st_nlink, first_names.setdefault(st.st_ino, path)),
    )


def _data(near: bytes, size: int) -> tuple[tuple[int, int], ...]:
    """Where a file has data and no holes; not its blocks: some of those are the file system's own."""
    found = []
    at = 0
    with open(near, "rb") as file:
        while at < size:
            try:
                begin = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                break  # nothing but hole from here on
            at = os.lseek(file.fileno(), begin, os.SEEK_HOLE)
            found.append((begin, at))
    return tuple(found)


def _digest(near: bytes) -> str:
    with open(near, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def differences(before: Picture, after: Picture) -> list[str]:
    """What is not the same in two pictures, both ways, in words for a failing test."""
    told = [f"missing: {path!r}" for path in before.keys() - after.keys()]
    told += [f"extra: {path!r}" for path in after.keys() - before.keys()]
    told += [
        f"{path[-80:]!r}: {old} -> {new}"
        for path in before.keys() & after.keys()
        for old, new in zip(before[path], after[path], strict=True)
        if old != new
    ]
    return sorted(told)


class Seen(NamedTuple):
    """One look at a file that the kernel told of."""

    name: bytes
    mask: int


class Watch:
    """Tells which files in some folders are opened and read, by anybody: inotify(7).

    Args:
        folders: watched without what is below them.
    """

    OPENED, READ = 0x20, 0x1

    def __init__(self, *folders: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self._fd >= 0, os.strerror(ctypes.get_errno())
        for folder in folders:
            watch = self._libc.inotify_add_watch(self._fd, os.fsencode(folder), self.OPENED | self.READ)
            assert watch >= 0, os.strerror(ctypes.get_errno())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def fileno(self) -> int:
        """For select."""
        return int(self._fd)

    def seen(self) -> list[Seen]:
        """What happened since the last time; folders themselves are left out."""
        found: list[Seen] = []
        while True:
            try:
                data = os.read(self._fd, 1 << 16)
            except BlockingIOError:
                return found
            at = 0
            while at < len(data):
                _, mask, _, length = struct.unpack_from("iIII", data, at)
                name = data[at + 16 : at + 16 + length].rstrip(b"\0")
                if name and not mask & 0x40000000:
                    found.append(Seen(name, mask))
                at += 16 + length
