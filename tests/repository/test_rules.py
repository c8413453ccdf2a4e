"""The rules of manifests and snapshots."""

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repository.errors import ObjectDamaged
from repository.manifest import Entry, Manifest, ManifestRef, Snapshot
from repository.rules import check_manifest, check_path, check_ref, check_snapshot, describe, path_key

DIGEST = b"d" * 32


def file(path: bytes, size: int, extents: list[int], **more: object) -> Entry:
    values: dict[str, object] = {"digest": DIGEST, **more}
    return msgspec.structs.replace(Entry(path, "f", size, b"", b"", extents), **values)


def manifest(*entries: Entry, lengths: tuple[int, ...] = (100, 50)) -> Manifest:
    return Manifest(list(entries), b"c" * 32 * len(lengths), list(lengths))


LAWFUL = [
    manifest(),
    manifest(Entry(b"/", "d", 0, b"", b""), Entry(b"/a", "d", 0, b"", b""), file(b"/a/b", 0, [])),
    manifest(file(b"/a", 120, [0, 0, 100, 1, 30, 20])),
    manifest(file(b"/a", 1000, [0, 10, 5], ranges=[(0, 2), (900, 3)])),
    manifest(file(b"/a", 1000, [], ranges=[(0, 0)])),
    manifest(
        file(b"/a", 1000, [0, 0, 50], part_length=50),
        file(b"/a", 1000, [0, 0, 10], part_offset=50, part_length=950, ranges=[(60, 10)]),
    ),
    manifest(
        Entry(b"/a", "d", 0, b"", b""), Entry(b"/a/z", "p", 0, b"", b""), Entry(b"/a-b", "l", 0, b"", b"")
    ),
]


@pytest.mark.parametrize("good", LAWFUL)
def test_lawful_manifests_pass(good: Manifest) -> None:
    check_manifest(good)


@pytest.mark.parametrize(
    "bad",
    [
        Manifest([], b"c" * 31, [1]),
        Manifest([], b"", [1]),
        manifest(lengths=(0,)),
        manifest(lengths=((4 << 20) + 1,)),
        manifest(Entry(b"/b", "d", 0, b"", b""), Entry(b"/a", "d", 0, b"", b"")),
        manifest(Entry(b"/a", "d", 0, b"", b""), Entry(b"/a", "d", 0, b"", b"")),
        manifest(Entry(b"/a-b", "d", 0, b"", b""), Entry(b"/a/z", "d", 0, b"", b"")),
        manifest(
            file(b"/a", 10, [0, 0, 5], part_offset=5, part_length=5),
            file(b"/a", 10, [0, 0, 5], part_length=5),
        ),
        manifest(file(b"a", 0, [])),
        manifest(file(b"/a", 10, [0, 0, 9])),
        manifest(file(b"/a", 10, [0, 0])),
        manifest(file(b"/a", 10, [2, 0, 10])),
        manifest(file(b"/a", 10, [0, 95, 10])),
        manifest(file(b"/a", 10, [0, 0, 10, 1, 0, 0])),
        manifest(file(b"/a", 10, [0, 0, 10], digest=b"")),
        manifest(file(b"/a", 10, [0, 0, 10], digest=b"short")),
        manifest(file(b"/a", 10, [0, 0, 10], part_offset=1)),
        manifest(file(b"/a", 10, [0, 0, 20], ranges=[(0, 20)])),
        manifest(file(b"/a", 99, [0, 0, 20], ranges=[(10, 10), (0, 10)])),
        manifest(file(b"/a", 99, [0, 0, 20], ranges=[(0, 10), (5, 10)])),
        manifest(file(b"/a", 99, [0, 0, 20], ranges=[(0, 10), (20, 0), (30, 10)])),
        manifest(file(b"/a", 99, [0, 0, 20], part_offset=50, part_length=49, ranges=[(0, 20)])),
        manifest(Entry(b"/a", "d", 0, b"", b"", [0, 0, 1])),
        manifest(Entry(b"/a", "l", 0, b"", b"", digest=DIGEST)),
        manifest(Entry(b"/a", "l", 0, b"", b"", ranges=[(0, 0)])),
        manifest(Entry(b"/a", "c", 0, b"", b"", part_offset=1)),
        manifest(Entry(b"/a", "b", 0, b"", b"", part_length=0)),
    ],
)
def test_manifests_that_break_a_rule_are_refused(bad: Manifest) -> None:
    with pytest.raises(ObjectDamaged):
        check_manifest(bad)


@pytest.mark.parametrize("path", [b"/", b"/a", b"/a/b", b"/..a/b..", b"/.hidden", b"/\xff\xfe", b"/a b\n"])
def test_lawful_paths_pass(path: bytes) -> None:
    check_path(path)


@pytest.mark.parametrize(
    "path",
    [b"", b"a", b"/a/", b"//", b"//a", b"/a//b", b"/.", b"/..", b"/a/..", b"/../a", b"/a/./b", b"/a\0b"],
)
def test_paths_that_could_lead_elsewhere_are_refused(path: bytes) -> None:
    with pytest.raises(ObjectDamaged):
        check_path(path)


@given(st.binary(max_size=12))
def test_a_path_that_passes_has_only_plain_parts(path: bytes) -> None:
    try:
        check_path(path)
    except ObjectDamaged:
        return
    parts = path.split(b"/")
    assert parts[0] == b""
    assert path == b"/" or all(part not in {b"", b".", b".."} for part in parts[1:])


def test_path_order_is_that_of_a_walk() -> None:
    walked = [b"/", b"/a", b"/a/b", b"/a/c", b"/a-b", b"/a.b", b"/b"]
    shuffled = random.Random(1).sample(walked, len(walked))
    assert sorted(shuffled, key=path_key) == walked


def test_a_reference_describes_its_manifest() -> None:
    one = LAWFUL[5]
    ref = describe(one, b"i" * 24, 1, DIGEST)
    assert (ref.first, ref.last, ref.files, ref.dirs, ref.bytes) == (b"/a", b"/a", 1, 0, 1000)
    check_ref(one, ref)
    for change in ({"first": b"/0"}, {"last": b"/z"}, {"files": 2}, {"dirs": 1}, {"bytes": 1}):
        with pytest.raises(ObjectDamaged):
            check_ref(one, msgspec.structs.replace(ref, **change))
    with pytest.raises(ObjectDamaged):
        describe(manifest(), b"i" * 24, 1, DIGEST)


def ref(number: int, first: bytes, last: bytes, files: int = 1) -> ManifestRef:
    return ManifestRef(bytes([number]) * 24, 1, DIGEST, first, last, files, 0, 10)


def snapshot(*refs: ManifestRef, **more: object) -> Snapshot:
    files, size = sum(r.files for r in refs), sum(r.bytes for r in refs)
    base = Snapshot(b"i" * 16, 0, "", [b"/"], [], [], b"", list(refs), files, 0, size, [])
    return msgspec.structs.replace(base, **more)


def test_lawful_snapshots_pass() -> None:
    check_snapshot(snapshot())
    check_snapshot(
        snapshot(ref(1, b"/a", b"/b"), ref(2, b"/b", b"/b"), ref(3, b"/b/c", b"/b-c"), parent=b"p" * 16)
    )


@pytest.mark.parametrize(
    "bad",
    [
        snapshot(ref(1, b"/b", b"/a")),
        snapshot(ref(1, b"/b", b"/c"), ref(2, b"/a", b"/a")),
        snapshot(ref(1, b"/a", b"/c"), ref(2, b"/b", b"/d")),
        snapshot(ref(1, b"/a", b"/b"), ref(1, b"/b", b"/b")),
        snapshot(ref(1, b"/a", b"/b"), files=2),
        snapshot(ref(1, b"/a", b"/b"), dirs=1),
        snapshot(ref(1, b"/a", b"/b"), bytes=11),
        snapshot(parent=b"short"),
        snapshot(paths=[b"relative"]),
    ],
)
def test_snapshots_that_break_a_rule_are_refused(bad: Snapshot) -> None:
    with pytest.raises(ObjectDamaged):
        check_snapshot(bad)
