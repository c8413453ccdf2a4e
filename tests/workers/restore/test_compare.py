"""Two snapshots cut into manifests at random, against a comparison of two dictionaries."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from repository.manifest import Entry, Manifest, ManifestRef, Snapshot
from repository.rules import describe, path_key
from tests.client.deliveries import meta
from workers.restore.compare import Side, Summary, apart, changes

PATHS = [b"/a", b"/a/b", b"/a/c", b"/a-b", b"/b", b"/b/c/d", b"/c", b"/d"]


class What(NamedTuple):
    """One path of a made-up tree."""

    kind: str
    content: int
    mode: int
    inode: int


def encoded(what: What) -> bytes:
    target = b"%d" % what.content if what.kind == "l" else b""
    return meta(what.kind, 0o600 + what.mode, ino=what.inode, target=target)


def entry(path: bytes, what: What) -> Entry:
    if what.kind != "f":
        return Entry(path, what.kind, 0, b"", encoded(what))  # type: ignore[arg-type]
    digest = blake3(b"%d" % what.content).digest()
    return Entry(path, "f", what.content % 2 + 1, b"", encoded(what), [0, 0, what.content % 2 + 1], digest)


whats = st.builds(What, st.sampled_from("fdl"), st.integers(0, 3), st.integers(0, 1), st.integers(1, 2))
trees = st.dictionaries(st.sampled_from(PATHS), whats, max_size=len(PATHS))
cuts = st.sets(st.sampled_from(PATHS))


class Cut:
    """A tree as a snapshot whose manifests begin at the given paths; equal ones are one manifest."""

    def __init__(self, tree: Mapping[bytes, What], cut: set[bytes], known: dict[bytes, Entry] | None) -> None:
        self.manifests: dict[bytes, Manifest] = {}
        refs: list[ManifestRef] = []
        group: list[Entry] = []
        for path in sorted(tree, key=path_key):
            if path in cut and group:
                refs.append(self._put(group))
                group = []
            made = entry(path, tree[path])
            if known is not None:
                made = known.setdefault(msgspec.msgpack.encode(made), made)
            group.append(made)
        if group:
            refs.append(self._put(group))
        self.snapshot = Snapshot(bytes(16), 0, "", [], [], [], b"", refs, 0, 0, 0, [])
        self.read_names: list[bytes] = []

    def _put(self, group: list[Entry]) -> ManifestRef:
        manifest = Manifest(group, bytes(32), [2])
        name = blake3(msgspec.msgpack.encode(group)).digest()
        self.manifests[name[:24]] = manifest
        return describe(manifest, name[:24], 1, name)

    def read(self, ref: ManifestRef) -> Manifest:
        self.read_names.append(ref.id)
        return self.manifests[ref.id]


def naively(old: Mapping[bytes, What], new: Mapping[bytes, What]) -> dict[bytes, str]:
    signs = dict.fromkeys(old.keys() - new.keys(), "-") | dict.fromkeys(new.keys() - old.keys(), "+")
    for path in old.keys() & new.keys():
        before, after = old[path], new[path]
        if before.kind != after.kind:
            signs[path] = "T"
        elif before.kind == "l" and before.content != after.content:
            signs[path] = "M"
        elif before.kind == "f" and before.content != after.content:
            unseen = (before.mode, before.inode, before.content % 2) == (
                after.mode,
                after.inode,
                after.content % 2,
            )
            signs[path] = "M?" if unseen else "M"
        elif before.mode != after.mode:
            signs[path] = "U"
    return signs


@given(trees, trees, cuts, cuts, st.booleans(), st.booleans())
def test_changes_are_those_of_the_trees(
    old: dict[bytes, What],
    new: dict[bytes, What],
    cut: set[bytes],
    other_cut: set[bytes],
    same_cut: bool,
    same_objects: bool,
) -> None:
    known: dict[bytes, Entry] | None = {} if same_objects else None
    first, second = Cut(old, cut, known), Cut(new, cut if same_cut else other_cut, known)
    ours, theirs = apart(first.snapshot, second.snapshot)
    found = list(changes(Side(ours, first.read), Side(theirs, second.read)))
    assert {change.path: change.sign for change in found} == naively(old, new)
    assert [change.path for change in found] == sorted((change.path for change in found), key=path_key)
    assert not set(first.read_names) & second.manifests.keys()
    assert not set(second.read_names) & first.manifests.keys()


def part(
    path: bytes, offset: int, length: int, size: int, chunks: list[int], digest: bytes = b"d" * 32
) -> Entry:
    extents = [number for chunk in chunks for number in (chunk, 0, 1)]
    return Entry(path, "f", size, b"", meta("f"), extents, digest, [], offset, length)


def sides(old: list[list[Entry]], new: list[list[Entry]], ids: bytes, other: bytes) -> tuple[Side, Side]:
    def side(groups: list[list[Entry]], table: bytes) -> Side:
        manifests = iter([Manifest(group, table, [1] * (len(table) // 32)) for group in groups])
        refs = [describe(Manifest(group, b"", []), bytes(24), 1, bytes(32)) for group in groups]
        return Side(refs, lambda _: next(manifests))

    return side(old, ids), side(new, other)


IDS = b"".join(bytes([number]) * 32 for number in range(4))


@pytest.mark.parametrize(
    ("cut", "table", "expected"),
    [
        ([(0, 3, [0, 1, 2]), (3, 1, [3])], IDS, []),
        ([(0, 2, [0, 1]), (2, 2, [2, 3])], IDS, []),
        ([(0, 4, [0, 1, 2, 3])], IDS, []),
        ([(0, 3, [0, 1, 2]), (3, 1, [0])], IDS, [b"/huge"]),
        ([(0, 2, [1, 0]), (2, 2, [2, 3])], IDS, [b"/huge"]),
    ],
)
def test_a_file_that_was_cut_into_other_parts_has_the_same_content(
    cut: list[tuple[int, int, list[int]]], table: bytes, expected: list[bytes]
) -> None:
    def parts(places: list[tuple[int, int, list[int]]]) -> list[list[Entry]]:
        return [
            [part(b"/huge", offset, length, 4, chunks, b"%02d" % chunks[0] * 16)]
            for offset, length, chunks in places
        ]

    old = parts([(0, 1, [0]), (1, 3, [1, 2, 3])])
    assert [change.path for change in changes(*sides(old, parts(cut), IDS, table))] == expected


def test_a_later_part_that_only_one_side_has_is_a_change_and_no_new_file() -> None:
    later = part(b"/huge", 2, 2, 4, [0, 1])
    (found,) = changes(*sides([], [[later]], IDS, IDS))
    assert (found.sign, found.path) == ("M", b"/huge")


def test_a_summary_adds_up() -> None:
    old = {
        b"/a": What("d", 0, 0, 1),
        b"/a/b": What("f", 0, 0, 1),
        b"/b": What("f", 1, 0, 1),
        b"/c": What("l", 0, 0, 1),
        b"/d": What("f", 1, 0, 1),
    }
    new = {
        b"/a": What("d", 0, 1, 1),
        b"/b": What("f", 2, 0, 1),
        b"/c": What("d", 0, 0, 1),
        b"/d": What("f", 1, 0, 2),
        b"/e": What("f", 1, 0, 1),
        b"/f": What("l", 0, 0, 1),
    }
    first, second = Cut(old, set(), None), Cut(new, set(), None)
    summary = Summary()
    for change in changes(*(Side(cut.snapshot.manifests, cut.read) for cut in (first, second))):
        summary.add(change)
    assert (summary.changed, summary.retyped, summary.metadata) == (1, 1, 1)
    added, removed = summary.added, summary.removed
    assert (added.files, added.dirs, added.others, added.bytes) == (1, 0, 1, 2 + 1)
    assert (removed.files, removed.dirs, removed.others, removed.bytes) == (1, 0, 0, 1 + 2)
