"""The writer of a restore: hostile snapshots, several writers, what cannot be applied."""

import ctypes
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sources.filesystem.metadata import Meta
from sources.filesystem.write import Piece, TreeWriter
from sources.source import MetaDamaged, Note, SourceError, TargetFull, UnsafePath, Unwritable

Make = Callable[..., Meta]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


@pytest.fixture
def writer(target: Path) -> Iterator[TreeWriter]:
    with TreeWriter(target) as opened:
        yield opened


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A file and a directory beside the target that must stay as they are."""
    place = tmp_path / "outside"
    place.mkdir(0o700)
    (place / "file").write_bytes(b"mine")
    (place / "file").chmod(0o600)
    before = [(p.name, p.lstat(), p.read_bytes()) for p in place.iterdir()], place.lstat()
    yield place
    after = [(p.name, p.lstat(), p.read_bytes()) for p in place.iterdir()], place.lstat()
    assert [(n, s.st_mode, s.st_uid, s.st_nlink, s.st_mtime_ns, d) for n, s, d in after[0]] == [
        (n, s.st_mode, s.st_uid, s.st_nlink, s.st_mtime_ns, d) for n, s, d in before[0]
    ]
    assert (after[1].st_mode, after[1].st_mtime_ns) == (before[1].st_mode, before[1].st_mtime_ns)


# Hostile snapshots: nothing outside the target is touched (the `outside` fixture looks).


def test_a_child_below_a_link_is_not_written_through_it(
    target: Path, outside: Path, writer: TreeWriter, meta: Make
) -> None:
    writer.make_node(b"/d", meta("l", target=os.fsencode(outside)))
    attempts: list[Callable[[], object]] = [
        lambda: writer.write_file(b"/d/file", meta(), [b"evil"]),
        lambda: writer.open_part(b"/d/file", 4),
        lambda: writer.make_dir(b"/d/new", meta("d")),
        lambda: writer.make_dir(b"/d", meta("d")),
        lambda: writer.make_node(b"/d/new", meta("p")),
        lambda: writer.link(b"/d/file", b"/stolen"),
        lambda: writer.link(b"/x", b"/d/new"),
        lambda: writer.discard(b"/d/file"),
    ]
    for attempt in attempts:
        with pytest.raises(UnsafePath):
            attempt()
    [(path, text)] = writer.finish_dirs([(b"/d", meta("d", mode=0o777))])
    assert path == b"/d"
    assert "not restored" in text
    assert [p.name for p in target.iterdir()] == ["d"]


def test_a_link_in_the_place_of_a_file_is_not_followed(outside: Path, writer: TreeWriter, meta: Make) -> None:
    writer.make_node(b"/f", meta("l", target=os.fsencode(outside / "file")))
    with pytest.raises(Unwritable):
        writer.write_file(b"/f", meta(), [b"evil"])
    with pytest.raises(UnsafePath):
        writer.open_part(b"/f", 100)


def test_a_hard_link_to_a_link_is_to_the_link(
    target: Path, outside: Path, writer: TreeWriter, meta: Make
) -> None:
    writer.make_node(b"/l", meta("l", target=os.fsencode(outside / "file")))
    writer.link(b"/l", b"/m")
    assert (target / "m").is_symlink()
    with pytest.raises(UnsafePath):
        writer.open_part(b"/m", 4)


def test_a_part_is_not_written_into_a_file_with_another_name(
    target: Path, outside: Path, writer: TreeWriter
) -> None:
    os.link(outside / "file", target / "f")
    with pytest.raises(UnsafePath, match="something else"):
        writer.open_part(b"/f", 4)
    (target / "f").unlink()


@pytest.mark.parametrize("kind", ["fifo", "dir"])
def test_a_part_waits_for_nothing(target: Path, writer: TreeWriter, kind: str) -> None:
    os.mkfifo(target / "f") if kind == "fifo" else (target / "f").mkdir()
    with pytest.raises(SourceError):
        writer.open_part(b"/f", 4)


def test_metadata_of_another_kind_is_refused(target: Path, writer: TreeWriter, meta: Make) -> None:
    with pytest.raises(MetaDamaged):
        writer.write_file(b"/f", meta("l", target=b"/etc"), [b"x"])
    with pytest.raises(MetaDamaged):
        writer.make_dir(b"/d", meta("f"))
    with pytest.raises(MetaDamaged):
        writer.make_node(b"/n", meta("f"))
    assert list(target.iterdir()) == []
    fd = writer.open_file(b"/f", 0)
    with pytest.raises(MetaDamaged):
        writer.finish_file(fd, b"/f", meta("d"))
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fd)


def test_metadata_of_a_node_stays_on_the_node(
    target: Path, outside: Path, writer: TreeWriter, meta: Make
) -> None:
    hostile = meta(
        "l", target=os.fsencode(outside), mode=0o777, uid=99, xattrs=[(b"trusted.x", b"y")], mtime_ns=1
    )
    assert writer.make_node(b"/l", hostile) == []
    assert (target / "l").lstat().st_uid == 99
    assert os.getxattr(target / "l", "trusted.x", follow_symlinks=False) == b"y"


# What is in the way.


@pytest.mark.parametrize("kind", ["file", "dir", "link", "fifo"])
def test_nothing_that_exists_is_replaced(target: Path, writer: TreeWriter, meta: Make, kind: str) -> None:
    match kind:
        case "file":
            (target / "x").write_bytes(b"here first")
        case "dir":
            (target / "x").mkdir()
        case "link":
            (target / "x").symlink_to("nowhere")
        case _:
            os.mkfifo(target / "x")
    before = (target / "x").lstat()
    attempts: list[Callable[[], object]] = [
        lambda: writer.write_file(b"/x", meta(), [b"new"]),
        lambda: writer.open_file(b"/x", 5),
        lambda: writer.make_node(b"/x", meta("p")),
        lambda: writer.make_node(b"/x", meta("l", target=b"t")),
    ]
    for attempt in attempts:
        with pytest.raises(Unwritable, match="file exists"):
            attempt()
    if kind != "dir":
        with pytest.raises(SourceError):
            writer.make_dir(b"/x", meta("d"))
    after = (target / "x").lstat()
    assert (after.st_ino, after.st_size, after.st_mode) == (before.st_ino, before.st_size, before.st_mode)


def test_a_missing_first_name_of_a_hard_link_is_told(writer: TreeWriter) -> None:
    with pytest.raises(Unwritable, match="hard link"):
        writer.link(b"/never", b"/x")


def test_a_name_too_long_concerns_only_itself(writer: TreeWriter, meta: Make) -> None:
    with pytest.raises(Unwritable, match="too long"):
        writer.write_file(b"/" + b"n" * 300, meta(), [b""])
    writer.write_file(b"/fine", meta(), [b""])


# Writing.


def test_pieces_and_empty_files(target: Path, writer: TreeWriter, meta: Make) -> None:
    pieces: list[Piece] = [b"a", bytearray(b"bc"), memoryview(b"def"), b""] * 600
    assert writer.write_file(b"/many", meta(), pieces) == []
    assert (target / "many").read_bytes() == b"abcdef" * 600
    assert writer.write_file(b"/none", meta(), []) == []
    assert (target / "none").read_bytes() == b""


def test_the_order_of_directories_does_not_matter(target: Path, writer: TreeWriter, meta: Make) -> None:
    dirs = [(b"/a", 0o555, 1), (b"/a/b", 0o500, 2), (b"/a/b/c", 0o711, 3), (b"/a-b", 0o755, 4)]
    writer.write_file(b"/a/b/c/file", meta(), [b"x"])
    for path, _, _ in dirs:
        writer.make_dir(path, meta("d"))
    assert (target / "a" / "b").stat().st_mode & 0o777 == 0o700  # nobody looks in before it is finished
    assert writer.finish_dirs([(p, meta("d", mode=m, mtime_ns=t)) for p, m, t in dirs]) == []
    for path, mode, mtime in dirs:
        st = os.stat(os.fsencode(target) + path)
        assert (st.st_mode & 0o7777, st.st_mtime_ns) == (mode, mtime)


def test_strip_lands_the_content_in_the_target(target: Path, meta: Make) -> None:
    with TreeWriter(target, b"/home/user") as writer:
        writer.make_dir(b"/home/user", meta("d"))
        writer.write_file(b"/home/user/f", meta(), [b"x"])
        assert writer.finish_dirs([(b"/home/user", meta("d", mode=0o750, mtime_ns=9))]) == []
        with pytest.raises(UnsafePath):
            writer.write_file(b"/home/other/f", meta(), [b"x"])
    assert [p.name for p in target.iterdir()] == ["f"]
    assert (target.stat().st_mode & 0o777, target.stat().st_mtime_ns) == (0o750, 9)


def test_discard(target: Path, writer: TreeWriter) -> None:
    fd = writer.open_file(b"/d/f", 100)
    os.close(fd)
    writer.discard(b"/d/f")
    writer.discard(b"/d/f")
    assert list((target / "d").iterdir()) == []
    with pytest.raises(Unwritable):
        writer.discard(b"/d")


def test_owner_by_name_then_number(target: Path, writer: TreeWriter, meta: Make) -> None:
    assert writer.write_file(b"/named", meta(uid=1234, uname="nobody", gid=1234, gname="daemon"), [b""]) == []
    assert (
        writer.write_file(b"/unknown", meta(uid=1234, uname="no-such-user", gid=4321, gname="no-such"), [b""])
        == []
    )
    assert ((target / "named").stat().st_uid, (target / "named").stat().st_gid) == (65534, 1)
    assert ((target / "unknown").stat().st_uid, (target / "unknown").stat().st_gid) == (1234, 4321)


def test_many_processes_fill_one_target(target: Path, meta: Make) -> None:
    """Four processes, all directories shared, one file in parts from all of them."""
    block = 1 << 16
    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                with TreeWriter(target) as writer:
                    for n in range(300):
                        writer.write_file(b"/shared/d%d/f%d-%d" % (n % 37, number, n), meta(), [b"%d" % n])
                    fd = writer.open_part(b"/big", 8 * block)
                    for part in (number, number + 4):
                        os.pwrite(fd, bytes([part]) * block, part * block)
                    os.close(fd)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    with TreeWriter(target) as writer:
        assert writer.finish_file(writer.open_part(b"/big", 8 * block), b"/big", meta(mode=0o400)) == []
    assert (target / "big").read_bytes() == b"".join(bytes([part]) * block for part in range(8))
    assert sum(1 for p in target.rglob("f*")) == 1200


# What cannot be applied is told, and the file is there.


def test_attributes_that_cannot_be_set_are_notes(target: Path, writer: TreeWriter, meta: Make) -> None:
    bad = meta(
        xattrs=[
            (b"user.%ok", b"1"),
            (b"nonsense.x", b"2"),
            (b"user." + b"n" * 300, b"3"),
            (b"user.big", b"4" * 70_000),
        ]
    )
    notes = writer.write_file(b"/f", bad, [b"content"])
    assert [path for path, _ in notes] == [b"/f"] * 3
    assert "'nonsense.x' cannot be restored" in notes[0][1]
    assert (target / "f").read_bytes() == b"content"
    assert os.getxattr(target / "f", "user.%ok") == b"1"
    assert (target / "f").stat().st_mtime_ns == bad.mtime_ns


def test_without_root(open_dir: Path, as_nobody: Callable[[], None], meta: Make) -> None:
    target = open_dir / "t"
    target.mkdir()
    os.chown(target, 65534, 65534)
    as_nobody()
    notes: list[Note] = []
    with TreeWriter(target) as writer:
        notes += writer.write_file(b"/own", meta(mode=0o4755), [b""])
        notes += writer.write_file(b"/other", meta(uid=0, mode=0o6755), [b""])
        notes += writer.write_file(b"/other2", meta(uid=0), [b""])
        notes += writer.write_file(
            b"/cap",
            meta(xattrs=[(b"security.capability", struct.pack("<5I", 0x02000001, 1, 0, 0, 0))]),
            [b""],
        )
        notes += writer.make_node(b"/null", meta("c", rdev=os.makedev(1, 3)))
        writer.write_file(b"/d/f", meta(), [b"x"])
        notes += writer.finish_dirs([(b"/d", meta("d", mode=0o555))])
    assert [(path, text.split(":")[0]) for path, text in notes] == [
        (b"/other", "owners other than yourself are not restored"),
        (b"/cap", "extended attribute 'security.capability' cannot be restored"),
        (b"/null", "this device node is not restored"),
    ]
    assert (target / "own").stat().st_mode & 0o7777 == 0o4755
    assert (target / "other").stat().st_mode & 0o7777 == 0o755  # setuid for someone else than it was for
    assert not (target / "null").exists()
    assert (target / "d").stat().st_mode & 0o777 == 0o555


def test_directories_that_close_themselves_are_finished_from_below(
    open_dir: Path, as_nobody: Callable[[], None], meta: Make
) -> None:
    os.chown(open_dir, 65534, 65534)
    as_nobody()
    dirs = [(b"/a", 0o000), (b"/a/b", 0o000), (b"/a/b/c", 0o500)]
    with TreeWriter(open_dir) as writer:
        writer.make_dir(b"/a/b/c", meta("d"))
    with TreeWriter(open_dir) as writer:  # another process, which has not opened them yet
        assert writer.finish_dirs([(path, meta("d", mode=mode)) for path, mode in dirs]) == []
    os.seteuid(0)
    for path, mode in dirs:
        assert os.stat(os.fsencode(open_dir) + path).st_mode & 0o7777 == mode


def test_a_full_target_is_told_apart_and_leaves_nothing_half_written(tmp_path: Path, meta: Make) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    mount = tmp_path / "small"
    mount.mkdir()
    assert libc.mount(b"none", os.fsencode(mount), b"tmpfs", 0, b"size=64k") == 0
    try:
        with TreeWriter(mount) as writer:
            writer.write_file(b"/fits", meta(), [b"x" * 8192])
            with pytest.raises(TargetFull) as caught:
                writer.write_file(b"/large", meta(), [b"y" * 30_000, b"z" * 200_000])
            assert caught.value.remedy
        assert [p.name for p in mount.iterdir()] == ["fits"]
        assert (mount / "fits").read_bytes() == b"x" * 8192
    finally:
        assert libc.umount(os.fsencode(mount)) == 0
