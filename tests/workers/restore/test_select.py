"""Selections: a path means itself and what is below it, and nothing that merely begins with the same letters."""

import pytest

from repository.manifest import Entry, ManifestRef
from workers.restore.select import Selection

PATHS = [b"/a", b"/a/b", b"/a/b/c.py", b"/a.txt", b"/ab", b"/z"]


def chosen(selection: Selection) -> list[bytes]:
    return [e.path for e in selection.entries(Entry(p, "f", 0, b"", b"") for p in PATHS)]


@pytest.mark.parametrize("path", [b"", b"/"])
def test_no_path_means_everything(path: bytes) -> None:
    assert Selection(path).everything
    assert chosen(Selection(path)) == PATHS


def test_a_path_means_its_subtree_only() -> None:
    assert chosen(Selection(b"/a")) == [b"/a", b"/a/b", b"/a/b/c.py"]
    assert chosen(Selection(b"/a/b/")) == [b"/a/b", b"/a/b/c.py"]


def test_patterns_narrow_it() -> None:
    assert chosen(Selection(b"", ["*.py"])) == [b"/a/b/c.py"]
    assert chosen(Selection(b"/a", (), ["b"])) == [b"/a"]


def ref(first: bytes, last: bytes) -> ManifestRef:
    return ManifestRef(bytes(24), 1, bytes(32), first, last, 0, 0, 0)


def test_only_manifests_that_can_hold_the_path_are_opened() -> None:
    wanted = Selection(b"/a")
    assert wanted.overlaps(ref(b"/", b"/a"))
    assert wanted.overlaps(ref(b"/a/x", b"/a/y"))
    assert wanted.overlaps(ref(b"/", b"/zz"))
    assert not wanted.overlaps(ref(b"/a.txt", b"/z"))
    assert not wanted.overlaps(ref(b"/", b"/Z"))
