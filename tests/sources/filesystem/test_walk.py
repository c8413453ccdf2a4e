"""The walk on real trees."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from sources.filesystem.stamps import STAMP_LENGTH
from sources.filesystem.walk import merge_roots, walk
from sources.patterns import Patterns
from sources.source import Found, MissingRoot, Note, order_key

Walked = Callable[..., list[Found]]


def refuse(path: bytes, why: str) -> None:
    pytest.fail(f"{path!r}: {why}")


def test_path_order_and_kinds(tmp_path: Path, walked: Walked) -> None:
    for directory in ("a", "a/b", "a.d", "z"):
        (tmp_path / directory).mkdir()
    for name in ("a/b/file", "a/z", "a-b", "a.d/x", "aa"):
        (tmp_path / name).write_bytes(b"12345")
    os.symlink("nowhere", tmp_path / "link")
    os.mkfifo(tmp_path / "fifo")
    found = walked(tmp_path)
    assert [f.path for f in found] == sorted((f.path for f in found), key=order_key)
    top = os.fsencode(tmp_path)
    assert {f.path[len(top) :]: (f.kind, f.size) for f in found} == {
        b"": ("d", 0), b"/a": ("d", 0), b"/a/b": ("d", 0), b"/a/b/file": ("f", 5), b"/a/z": ("f", 5),
        b"/a-b": ("f", 5), b"/a.d": ("d", 0), b"/a.d/x": ("f", 5), b"/aa": ("f", 5), b"/z": ("d", 0),
        b"/link": ("l", 0), b"/fifo": ("p", 0),
    }  # fmt: skip
    assert {len(f.stamp) for f in found} == {STAMP_LENGTH}


def test_nested_and_duplicate_roots_are_merged() -> None:
    roots = [b"/b/c/", b"/b", b"/b-c", b"/b", b"/a//x/.", b"/a/x/y"]
    assert merge_roots(roots) == [b"/a/x", b"/b", b"/b-c"]
    assert merge_roots([b"/x", b"/"]) == [b"/"]


def test_several_roots_in_path_order_with_a_file_and_a_link(tmp_path: Path, walked: Walked) -> None:
    (tmp_path / "z").mkdir()
    (tmp_path / "f").write_bytes(b"")
    os.symlink("z", tmp_path / "link-to-dir")
    found = walked(tmp_path / "z", tmp_path / "link-to-dir", tmp_path / "f")
    assert [(os.path.basename(f.path), f.kind) for f in found] == [
        (b"f", "f"),
        (b"link-to-dir", "l"),
        (b"z", "d"),
    ]


@pytest.mark.parametrize("root", [b"relative", b"/no/such/place", b"/etc/../etc", b"/a\0b"])
def test_a_bad_root_is_named_before_anything_is_walked(root: bytes) -> None:
    with pytest.raises(MissingRoot) as caught:
        walk([b"/etc", root], Patterns(), refuse, refuse)
    assert caught.value.path == root


def test_excludes_prune(tmp_path: Path, walked: Walked) -> None:
    for name in ("keep", "node_modules/deep", "x/cache"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("a.pyc", "keep/b.pyc", "keep/b.py", "node_modules/deep/c.py", "x/cache/d.py", "x/d.py"):
        (tmp_path / name).write_bytes(b"")
    found = walked(tmp_path, excludes=("*.pyc", "node_modules", f"{tmp_path}/x/cache"))
    assert [f.path[len(os.fsencode(tmp_path)) :] for f in found] == [
        b"",
        b"/keep",
        b"/keep/b.py",
        b"/x",
        b"/x/d.py",
    ]


def test_an_excluded_root_is_told(tmp_path: Path, walked: Walked) -> None:
    told: list[Note] = []
    assert walked(tmp_path, excludes=(tmp_path.name,), told=told) == []
    assert told == [(os.fsencode(tmp_path), "excluded by a pattern although it was asked for")]


def test_sockets_are_skipped_with_a_note(tmp_path: Path, walked: Walked) -> None:
    told: list[Note] = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        found = walked(tmp_path, told=told)
    assert [f.path for f in found] == [os.fsencode(tmp_path)]
    assert told[0][0] == os.fsencode(tmp_path / "s")
    assert "socket" in told[0][1]


def test_an_unreadable_directory_is_reported_and_the_rest_goes_on(
    open_dir: Path, as_nobody: Callable[[], None], walked: Walked
) -> None:
    (open_dir / "closed").mkdir(0o700)
    (open_dir / "closed" / "inside").write_bytes(b"")
    (open_dir / "later").write_bytes(b"")
    as_nobody()
    told: list[Note] = []
    found = walked(open_dir, told=told)
    assert [os.path.basename(f.path) for f in found[1:]] == [b"closed", b"later"]
    assert told == [(os.fsencode(open_dir / "closed"), "the directory cannot be read: permission denied")]


def test_what_vanishes_during_the_walk_is_reported(tmp_path: Path) -> None:
    for name in ("a", "b", "d"):
        (tmp_path / name).mkdir()
    (tmp_path / "c").write_bytes(b"")
    told: list[Note] = []
    walker = walk([os.fsencode(tmp_path)], Patterns(), lambda *n: told.append(n), refuse)
    seen = [next(walker).path, next(walker).path]
    (tmp_path / "c").unlink()
    (tmp_path / "b").rmdir()
    seen += [f.path for f in walker]
    assert [os.path.basename(p) for p in seen[1:]] == [b"a", b"d"]
    assert [os.path.basename(p) for p, _ in told] == [b"b", b"c"]


def test_stamps_see_an_edit_that_puts_size_and_mtime_back(tmp_path: Path, walked: Walked) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"one")
    os.utime(file, ns=(5, 5))
    before = walked(tmp_path)[1]
    assert walked(tmp_path)[1] == before
    file.write_bytes(b"two")
    os.utime(file, ns=(5, 5))
    assert walked(tmp_path)[1].stamp != before.stamp


def test_times_beyond_64_bit_nanoseconds_do_not_stop_the_walk(tmp_path: Path, walked: Walked) -> None:
    (tmp_path / "f").write_bytes(b"")
    os.utime(tmp_path / "f", (12_000_000_000, 12_000_000_000))
    assert len(walked(tmp_path)) == 2


def test_paths_longer_than_the_kernel_takes(tmp_path: Path, walked: Walked) -> None:
    make_deep(tmp_path, 22)
    found = walked(tmp_path)
    assert max(len(f.path) for f in found) > 5000
    assert [f.kind for f in found] == ["d"] * 23 + ["f"]
    assert [f.path for f in found] == sorted((f.path for f in found), key=order_key)


def make_deep(top: Path, levels: int) -> None:
    fd = os.open(top, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("n" * 250, dir_fd=fd)
        below = os.open("n" * 250, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)
