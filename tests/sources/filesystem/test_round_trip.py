"""A tree is read, written elsewhere, and compared in everything: cases of restic's node tests and borg's test tree."""

import os
import random
import struct
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from sources.source import Note

RoundTrip = Callable[[Path, Path], list[Note]]
Picture = Callable[[Path], dict[bytes, tuple[object, ...]]]

CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)  # cap_net_bind_service, permitted and effective
ACL_USER, ACL_GROUP = 0x02, 0x08


def acl(*named: tuple[int, int, int]) -> bytes:
    """A POSIX ACL as the kernel stores it: version 2, then (tag, permissions, id), see acl(5)."""
    nobody = 0xFFFFFFFF
    entries = [(0x01, 6, nobody), *(n for n in named if n[0] == ACL_USER), (0x04, 4, nobody)]
    entries += [*(n for n in named if n[0] == ACL_GROUP), (0x10, 6, nobody), (0x20, 0, nobody)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    return tmp_path / "source"


@pytest.fixture
def same(source: Path, tmp_path: Path, round_trip: RoundTrip, picture: Picture) -> Callable[[], None]:
    """Asserts that what is in `source` comes back without a note and without a difference."""

    def check() -> None:
        before = picture(source)
        assert round_trip(source, tmp_path / "target") == []
        assert picture(tmp_path / "target") == before

    return check


def test_modes_owners_and_times(source: Path, same: Callable[[], None]) -> None:
    modes = [0o604, 0o4755, 0o2755, 0o1777, 0o000, 0o6711]
    for number, mode in enumerate(modes):
        for path in (source / f"file{number}", source / f"dir{number}"):
            path.mkdir() if path.name[0] == "d" else path.write_bytes(b"x" * number)
            os.chown(path, 100 + number, 200 + number)
            path.chmod(mode)
            os.utime(path, ns=(7, 1_000_000_007_000_000_001 + number))
    os.utime(source, ns=(0, 1))
    same()


def test_times_before_1970_and_far_ahead(source: Path, same: Callable[[], None]) -> None:
    for name, seconds in (("old", -1), ("ahead", 8_000_000_000)):
        (source / name).write_bytes(b"")
        os.utime(source / name, ns=(0, seconds * 10**9 + 123_456_789))
    same()


def test_nodes(source: Path, same: Callable[[], None]) -> None:
    os.mkfifo(source / "fifo")
    os.mknod(source / "null", 0o20666, os.makedev(1, 3))
    os.mknod(source / "block", 0o60640, os.makedev(10, 20))
    os.mknod(source / "char", 0o20600, os.makedev(30, 40))
    (source / "dangling").symlink_to("nowhere/at/all")
    (source / "long").symlink_to("t" * 2000)
    (source / "absolute").symlink_to("/etc/passwd")
    (source / "bytes").symlink_to(os.fsdecode(b"\xe2\x28\xa1"))
    for number, name in enumerate(("fifo", "null", "dangling")):
        os.chown(source / name, 300, 400, follow_symlinks=False)
        os.utime(source / name, ns=(5, 5 + number), follow_symlinks=False)
    os.setxattr(source / "dangling", "trusted.a", b"1", follow_symlinks=False)
    (source / "fifo").chmod(0o640)
    same()


def test_hard_links(source: Path, same: Callable[[], None]) -> None:
    (source / "a" / "b").mkdir(parents=True)
    (source / "a" / "first").write_bytes(b"one content")
    for name in ("a/b/second", "third", "a/b/fourth"):
        os.link(source / "a" / "first", source / name)
    (source / "link").symlink_to("x" * 200)
    os.link(source / "link", source / "same-link", follow_symlinks=False)
    os.mkfifo(source / "fifo")
    os.link(source / "fifo", source / "fifo2")
    same()


def test_attributes_acls_and_capabilities(source: Path, same: Callable[[], None]) -> None:
    for path in (source / "file", source / "dir"):
        path.mkdir() if path.name == "dir" else path.write_bytes(b"x")
        os.setxattr(path, "user.empty", b"")
        os.setxattr(path, "user.with%and space", b"\0value\xff")
        os.setxattr(path, b"user.caf\xc3\xa9", b"1" * 1000)
        os.chown(path, 1234, 1234)
        os.setxattr(
            path, "system.posix_acl_access", acl((ACL_USER, 4, 0), (ACL_USER, 6, 9999), (ACL_GROUP, 4, 8888))
        )
    os.setxattr(source / "dir", "system.posix_acl_default", acl((ACL_USER, 6, 9999)))
    (source / "dir" / "inherits").write_bytes(b"")
    (source / "dir" / "free").write_bytes(b"")
    os.removexattr(source / "dir" / "free", "system.posix_acl_access")
    os.setxattr(source / "file", "security.capability", CAPABILITY)  # a chown would clear it
    same()


def test_an_acl_of_the_target_does_not_leak_in(
    source: Path, tmp_path: Path, round_trip: RoundTrip, picture: Picture
) -> None:
    (source / "dir").mkdir()
    (source / "dir" / "file").write_bytes(b"x")
    os.mkfifo(source / "fifo")
    before = picture(source)
    target = tmp_path / "target"
    target.mkdir()
    os.setxattr(target, "system.posix_acl_default", acl((ACL_USER, 6, 9999)))
    os.chown(target, 0, 4321)
    target.chmod(0o2755)
    assert round_trip(source, target) == []
    assert picture(target) == before


def test_names(source: Path, same: Callable[[], None]) -> None:
    names = [
        b"\xe2\x28\xa1", b"with space", b"(paren)", b"50%", b"new\nline", b"-rf", b"*", b"back\\slash", b"\xff" * 255,
        unicodedata.normalize("NFC", "é").encode(), unicodedata.normalize("NFD", "é").encode(),
        "файл".encode(), "ملف".encode(), "文件".encode(), b"n" * 255, b"...", b" ",
    ]  # fmt: skip
    for name in names:
        os.mkdir(os.fsencode(source) + b"/" + name)
        Path(os.fsdecode(os.fsencode(source) + b"/" + name + b"/" + name)).write_bytes(name)
    same()


def test_a_tree_deeper_than_the_kernel_takes_in_one_path(
    source: Path, tmp_path: Path, round_trip: RoundTrip
) -> None:
    fd = os.open(source, os.O_RDONLY)
    for _ in range(80):  # also more levels than directory handles are kept
        os.mkdir("n" * 100, 0o755, dir_fd=fd)
        fd, above = os.open("n" * 100, os.O_RDONLY, dir_fd=fd), fd
        os.close(above)
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, 0o640, dir_fd=fd))
    os.utime("file", ns=(1, 2), dir_fd=fd)
    os.close(fd)
    assert round_trip(source, tmp_path / "target") == []
    fd = os.open(tmp_path / "target", os.O_RDONLY)
    for _ in range(80):
        fd, above = os.open("n" * 100, os.O_RDONLY, dir_fd=fd), fd
        assert os.fstat(fd).st_mode & 0o7777 == 0o755
        os.close(above)
    assert os.stat("file", dir_fd=fd).st_mtime_ns == 2
    os.close(fd)


@pytest.mark.parametrize(
    "pieces",
    [
        {},
        {0: b"x" * 4096},
        {8 * 4096: b"x" * 4096},
        {n * 8192: b"x" * 4096 for n in range(40)},
        {0: b"trailing bytes"},
        {100 * 4096 - 3: b"end"},
    ],
)
def test_sparse_files_stay_sparse(
    source: Path, tmp_path: Path, pieces: dict[int, bytes], same: Callable[[], None]
) -> None:
    with (source / "f").open("wb") as file:
        for offset, data in pieces.items():
            file.seek(offset)
            file.write(data)
        file.truncate(100 * 4096)
    same()
    assert (tmp_path / "target" / "f").stat().st_blocks == (source / "f").stat().st_blocks


def test_random_trees(source: Path, same: Callable[[], None]) -> None:
    turn = random.Random(7)
    directories = [source]
    for number in range(60):
        above = turn.choice(directories)
        if turn.random() < 0.3:
            directories.append(above / f"d{number}")
            directories[-1].mkdir(mode=turn.choice((0o700, 0o755, 0o500)))
        else:
            (above / f"f{number}").write_bytes(
                turn.randbytes(turn.choice((0, 1, 2, 3, 1024, 512 << 10, 2 << 20)))
            )
    same()
