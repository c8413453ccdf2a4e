"""The target of a restore: what counts as empty, and that nothing outside it can be reached."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sources.filesystem.target import OPEN_DIRECTORIES, TargetTree, check_target, prepare_target
from sources.source import TargetNotEmpty, TargetUnusable, UnsafePath, Unwritable


def test_missing_empty_and_fresh_targets_are_fine(tmp_path: Path) -> None:
    check_target(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    prepare_target(tmp_path / "new" / "deep")
    assert (tmp_path / "new" / "deep").stat().st_mode & 0o7777 == 0o700
    prepare_target(tmp_path / "new" / "deep")
    (tmp_path / "disk" / "lost+found").mkdir(parents=True)
    prepare_target(tmp_path / "disk")


def test_a_target_with_content_is_refused_and_named(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"")
    with pytest.raises(TargetNotEmpty, match="holds 'mine'") as caught:
        prepare_target(tmp_path)
    assert caught.value.remedy
    assert caught.value.exit_code == 1


def test_a_target_that_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for target in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(TargetUnusable, match="cannot restore into"):
            prepare_target(target)
    with pytest.raises(TargetUnusable):
        TargetTree(tmp_path / "gone")


def test_a_target_that_may_not_be_written(open_dir: Path, as_nobody: Callable[[], None]) -> None:
    as_nobody()
    with pytest.raises(TargetUnusable, match="permission denied"):
        prepare_target(open_dir / "new")


@pytest.mark.parametrize(
    "path",
    [
        b"", b"/", b"relative", b"/a/../b", b"/..", b"/.", b"/a/./b", b"//a", b"/a//b", b"/a/", b"/a\0b", b"/a\0/b",
        b"../x", b"/../../etc/passwd",
    ],
)  # fmt: skip
def test_paths_that_lead_elsewhere_are_refused(tmp_path: Path, path: bytes) -> None:
    with TargetTree(tmp_path) as tree, pytest.raises(UnsafePath):
        tree.place(path)
    assert list(tmp_path.iterdir()) == []


def test_strip(tmp_path: Path) -> None:
    with TargetTree(tmp_path, b"/home/user") as tree:
        assert tree.place(b"/home/user/x") == (tree.root, b"x")
        assert tree.is_top(b"/home/user")
        assert tree.directory(b"/home/user") == tree.root
        tree.place(b"/home/user/a/b")
        for outside in (b"/home/user", b"/home/user2/x", b"/home/x", b"/etc/x", b"/home/user/../x"):
            with pytest.raises(UnsafePath):
                tree.place(outside)
    assert [p.name for p in tmp_path.rglob("*")] == ["a"]


def test_without_strip_the_root_is_the_target(tmp_path: Path) -> None:
    for strip in (b"", b"/"):
        with TargetTree(tmp_path, strip) as tree:
            assert tree.is_top(b"/")
            assert tree.directory(b"/") == tree.root


def test_no_link_on_the_way_is_followed(tmp_path: Path) -> None:
    (tmp_path / "target" / "real").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "target" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "target" / "inner").symlink_to("real")
    with TargetTree(tmp_path / "target") as tree:
        for path in (b"/link/x", b"/link/deep/x", b"/inner/x"):
            with pytest.raises(UnsafePath):
                tree.place(path)
        with pytest.raises(UnsafePath):
            tree.directory(b"/link")
    assert list((tmp_path / "outside").iterdir()) == []
    assert list((tmp_path / "target" / "real").iterdir()) == []


def test_a_directory_swapped_for_a_link_while_it_is_open(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "t").mkdir()
    with TargetTree(tmp_path / "t") as tree:
        tree.place(b"/d/x")
        (tmp_path / "t" / "d").rename(tmp_path / "t" / "moved")
        (tmp_path / "t" / "d").symlink_to(tmp_path / "outside")
        fd, name = tree.place(b"/d/y")  # still the directory that was opened, wherever it is now
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    assert list((tmp_path / "outside").iterdir()) == []
    assert [p.name for p in (tmp_path / "t" / "moved").iterdir()] == ["y"]


def test_handles_stay_bounded_and_right(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with TargetTree(tmp_path) as tree:
        for turn in range(2):
            for number in range(3 * OPEN_DIRECTORIES):
                fd, name = tree.place(b"/d%d/sub/f%d" % (number, turn))
                os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, dir_fd=fd))
        assert len(os.listdir("/proc/self/fd")) <= before + OPEN_DIRECTORIES + 1
    assert len(os.listdir("/proc/self/fd")) == before
    for number in range(3 * OPEN_DIRECTORIES):
        assert sorted(p.name for p in (tmp_path / f"d{number}" / "sub").iterdir()) == ["f0", "f1"]


def test_a_failed_descent_leaves_no_stale_handle(tmp_path: Path) -> None:
    with TargetTree(tmp_path) as tree:
        tree.place(b"/a/f")
        with pytest.raises(Unwritable):
            tree.place(b"/d" * (OPEN_DIRECTORIES + 1) + b"/" + b"n" * 300 + b"/f")
        fd, name = tree.place(b"/a/g")
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["g"]


def test_a_missing_directory_is_only_made_for_a_place(tmp_path: Path) -> None:
    with TargetTree(tmp_path) as tree, pytest.raises(Unwritable):
        tree.directory(b"/gone")
    assert list(tmp_path.iterdir()) == []
