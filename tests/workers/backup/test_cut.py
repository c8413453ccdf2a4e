"""Cutting a walk against a parent: everything is covered once, in order, and only what did not change is kept."""

from hypothesis import given, settings
from hypothesis import strategies as st

from repository.manifest import Entry, ManifestRef, WorkItem
from sources.source import Found, order_key
from workers.backup import cut
from workers.backup.cut import Kept, Segment


def item(path: bytes, stamp: bytes = b"s", size: int = 10) -> WorkItem:
    return WorkItem(path, "f", size, stamp)


def parent(*groups: list[WorkItem]) -> tuple[list[ManifestRef], dict[bytes, list[Entry]]]:
    """Manifests of a parent snapshot, one for each group."""
    refs, entries = [], {}
    for number, group in enumerate(groups):
        ref = ManifestRef(
            bytes(20) + number.to_bytes(4, "big"),
            1,
            bytes(32),
            group[0].path,
            group[-1].path,
            len(group),
            0,
            0,
        )
        refs.append(ref)
        entries[ref.id] = [
            Entry(i.path, i.kind, i.size, i.stamp, b"", part_offset=i.part_offset, part_length=i.part_length)
            for i in group
        ]
    return refs, entries


def run(items: list[WorkItem], *groups: list[WorkItem]) -> list[Segment | Kept]:
    refs, entries = parent(*groups)
    return list(cut.cut(items, refs, lambda ref: entries[ref.id]))


def test_nothing_changed_keeps_every_manifest() -> None:
    a, b = [item(b"/a"), item(b"/b")], [item(b"/c"), item(b"/d")]
    assert [type(p) for p in run(a + b, a, b)] == [Kept, Kept]


def test_a_change_touches_only_its_own_manifest() -> None:
    a, b, c = [item(b"/a")], [item(b"/b"), item(b"/b2")], [item(b"/c")]
    found = run([*a, item(b"/b", b"new"), b[1], *c], a, b, c)
    assert [type(p) for p in found] == [Kept, Segment, Kept]
    segment = found[1]
    assert isinstance(segment, Segment)
    assert [i.path for i in segment.items] == [b"/b", b"/b2"]
    assert len(segment.parents) == 1 and segment.unread == 10


def test_a_removed_path_breaks_its_manifest_even_at_the_end() -> None:
    a = [item(b"/a"), item(b"/z")]
    (segment,) = run(a[:1], a)
    assert isinstance(segment, Segment) and [i.path for i in segment.items] == [b"/a"] and segment.unread == 0


def test_a_manifest_whose_paths_are_all_gone_leaves_nothing() -> None:
    a, b = [item(b"/a")], [item(b"/b")]
    assert [type(p) for p in run(a, a, b)] == [Kept]


def test_segments_end_at_their_bytes() -> None:
    big = cut.SEGMENT_BYTES // 2 + 1
    found = run([item(b"/%d" % n, size=big) for n in range(3)])
    assert [len(p.items) for p in found if isinstance(p, Segment)] == [1, 1, 1]


def test_a_huge_file_becomes_ranges_that_cover_it() -> None:
    size = 2 * cut.PART + 5
    parts = list(cut.expand([Found(b"/big", "f", size, b"s")]))
    assert [(p.part_offset, p.part_length) for p in parts] == [
        (0, cut.PART),
        (cut.PART, cut.PART),
        (2 * cut.PART, 5),
    ]
    found = run(parts)
    assert len(found) == 3
    assert [type(p) for p in run(parts, *[[p] for p in parts])] == [Kept] * 3


names = st.sampled_from([b"/" + n for n in (b"a", b"a/b", b"a.b", b"b", b"c/d", b"e", b"f", b"g/h/i", b"z")])


@settings(max_examples=300)
@given(
    now=st.dictionaries(names, st.sampled_from([b"1", b"2"])),
    before=st.dictionaries(names, st.sampled_from([b"1", b"2"])),
    sizes=st.lists(st.integers(1, 3), min_size=9, max_size=9),
)
def test_every_path_is_covered_once_in_order(
    now: dict[bytes, bytes], before: dict[bytes, bytes], sizes: list[int]
) -> None:
    ordered = [item(p, now[p]) for p in sorted(now, key=order_key)]
    old = [item(p, before[p]) for p in sorted(before, key=order_key)]
    groups = []
    for size in sizes:
        if old:
            groups.append(old[:size])
            old = old[size:]
    refs, entries = parent(*groups)
    covered: list[tuple[bytes, bytes]] = []
    for piece in cut.cut(ordered, refs, lambda ref: entries[ref.id]):
        if isinstance(piece, Kept):
            covered += [(e.path, e.stamp) for e in entries[piece.ref.id]]
        else:
            covered += [(i.path, i.stamp) for i in piece.items]
    assert covered == [(i.path, i.stamp) for i in ordered]
