"""Cutting a walk against a parent: everything is covered once, in order, and only what did not change is kept."""

from hypothesis import given, settings
from hypothesis import strategies as st

from repository.manifest import Entry, ManifestRef, WorkItem
from sources.source import Found, order_key
from workers.backup import cut
from workers.backup.cut import Kept, Segment
from workers.backup.parts import PartSizes

SIZES = PartSizes(largest=1000, least=100)


def item(path: bytes, stamp: bytes = b"s", size: int = 10) -> WorkItem:
    return WorkItem(path, "f", size, stamp)


def found_of(items: list[WorkItem]) -> list[Found]:
    return [Found(i.path, i.kind, i.size, i.stamp) for i in items]


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
    return list(cut.cut(found_of(items), refs, lambda ref: entries[ref.id], sizes=SIZES))


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
    found = list(cut.cut(found_of([item(b"/%d" % n, size=big) for n in range(3)]), [], lambda _: []))
    assert [len(p.items) for p in found if isinstance(p, Segment)] == [1, 1, 1]


def segments(pieces: list[Segment | Kept]) -> list[list[tuple[int, int]]]:
    return [[(i.part_offset, i.part_length) for i in p.items] for p in pieces if isinstance(p, Segment)]


def test_each_part_of_a_huge_file_is_a_segment_of_its_own() -> None:
    found = run([item(b"/a"), item(b"/big", size=4001), item(b"/c"), item(b"/d")])
    (first, *cuts, last) = segments(found)
    assert first == [(0, -1)] and last == [(0, -1), (0, -1)]
    assert all(len(each) == 1 for each in cuts) and len(cuts) > 4
    at = 0
    for [(offset, length)] in cuts:
        assert offset == at and length <= SIZES.largest
        at += length
    assert at == 4001


def test_an_unchanged_huge_file_keeps_its_parts_wherever_they_were_cut() -> None:
    was = [WorkItem(b"/big", "f", 4000, b"s", at, 800) for at in range(0, 4000, 800)]
    assert [type(p) for p in run([item(b"/big", size=4000)], *[[p] for p in was])] == [Kept] * 5


def test_a_part_that_is_missing_from_the_parent_is_read_again() -> None:
    was = [WorkItem(b"/big", "f", 4000, b"s", at, 800) for at in (0, 800, 2400, 3200)]
    found = run([item(b"/big", size=4000)], *[[p] for p in was])
    assert isinstance(found[0], Kept)
    at = 800
    for offset, length in [part for each in segments(found) for part in each]:
        assert offset == at
        at += length
    assert at == 4000


def test_a_changed_huge_file_is_cut_anew() -> None:
    was = [WorkItem(b"/big", "f", 4000, b"old", at, 800) for at in range(0, 4000, 800)]
    parts = [part for each in segments(run([item(b"/big", size=4000)], was)) for part in each]
    assert parts[0] == (0, 1000) and sum(length for _, length in parts) == 4000


def test_the_last_segments_are_shared_out_in_smaller_pieces() -> None:
    size = 1 << 20
    items = [item(b"/%06d" % n, size=size) for n in range(64 * 10)]
    whole = list(cut.cut(found_of(items), [], lambda _: []))
    tapered = list(cut.taper(whole))
    assert [i for p in tapered if isinstance(p, Segment) for i in p.items] == items
    assert tapered[:8] == whole[:8] and len(whole) == 10
    rest = [p for p in tapered[8:] if isinstance(p, Segment)]
    assert len(rest) == 2 * cut.SHARES
    assert all(p.unread == size * len(p.items) for p in rest)


def test_a_small_backup_is_handed_out_at_once_and_a_held_segment_keeps_its_parents() -> None:
    one = Segment([item(b"/a")], [], 10)
    assert list(cut.taper([one])) == [one]
    ref = parent([item(b"/a")])[0][0]
    many = [Segment([item(b"/%d" % n, size=64 << 20)] * 3, [ref], 192 << 20) for n in range(6)]
    assert all(p.parents == [ref] for p in cut.taper(many) if isinstance(p, Segment))


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
    for piece in cut.taper(cut.cut(found_of(ordered), refs, lambda ref: entries[ref.id])):
        if isinstance(piece, Kept):
            covered += [(e.path, e.stamp) for e in entries[piece.ref.id]]
        else:
            covered += [(i.path, i.stamp) for i in piece.items]
    assert covered == [(i.path, i.stamp) for i in ordered]
