import os
from collections.abc import Callable
from pathlib import Path

import pytest

from client.compare import compare


def make(root: Path) -> Path:
    (root / "folder").mkdir(parents=True)
    (root / "folder/file").write_bytes(b"content")
    (root / "link").symlink_to("folder/file")
    os.link(root / "folder/file", root / "hard")
    os.mkfifo(root / "pipe")
    os.setxattr(root / "folder/file", "user.a", b"b")
    for path in (root / "folder/file", root / "folder", root / "pipe", root):
        os.utime(path, ns=(1, 10**18))
    os.utime(root / "link", ns=(1, 10**18), follow_symlinks=False)
    return root


def test_equal_trees(tmp_path: Path):
    found = compare(make(tmp_path / "a"), make(tmp_path / "b"))
    assert (found.things, found.byte_count, found.differences) == (6, 14, [])


def _relink(root: Path) -> None:
    (root / "hard").unlink()
    (root / "hard").write_bytes(b"content")
    os.setxattr(root / "hard", "user.a", b"b")
    os.utime(root / "hard", ns=(1, 10**18))
    os.utime(root, ns=(1, 10**18))


def _retarget(root: Path) -> None:
    (root / "link").unlink()
    (root / "link").symlink_to("folder/filf")
    os.utime(root / "link", ns=(1, 10**18), follow_symlinks=False)
    os.utime(root, ns=(1, 10**18))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda root: (root / "hard").chmod(0o600), "mode"),
        (lambda root: os.utime(root / "folder", ns=(1, 10**18 + 1)), "mtime"),
        (lambda root: os.setxattr(root / "hard", "user.a", b"c"), "attributes"),
        (lambda root: (root / "pipe").unlink(), "missing"),
        (lambda root: (root / "more").mkdir(), "was not there"),
        (lambda root: os.pwrite(os.open(root / "hard", os.O_WRONLY), b"X", 3), "content"),
        (_retarget, "elsewhere"),
        (_relink, "same file"),
    ],
)
def test_each_difference_is_found(tmp_path: Path, change: Callable[[Path], object], what: str):
    left, right = make(tmp_path / "a"), make(tmp_path / "b")
    change(right)
    assert any(what in each.what for each in compare(left, right).differences)


def test_what_is_skipped_is_skipped_on_both_sides(tmp_path: Path):
    left, right = make(tmp_path / "a"), make(tmp_path / "b")
    (left / "skip").mkdir()
    (right / "folder/skip").write_bytes(b"x")
    for path in (left, right, right / "folder"):
        os.utime(path, ns=(1, 10**18))
    assert compare(left, right, frozenset({b"skip"})).differences == []
