"""Cutting a walk against a parent: everything is covered once, in order, and only what did not change is kept."""

from hypothesis import given, settings
from hypothesis import strategies as st

from repository.manifest import BaseRef, Entry, Manifest, ManifestRef, WorkItem, WorkPatch
from repository.patch import MAX_DEPTH, order_of
from sources.source import Found, order_key
from workers.backup import cut
from workers.backup.cut import Kept, Segment
from workers.backup.parts import PartSizes

EMPTY = Manifest([], b"", [])
SIZES = PartSizes(largest=1000, least=100)


def item(path: bytes, stamp: bytes = b"s", size: int = 10) -> WorkItem:
    return WorkItem(path, "f", size, stamp)


def found_of(items: list[WorkItem]) -> list[Found]:
    return [Found(i.path, i.kind, i.size, i.stamp) for i in items]


def parent(
    *groups: list[WorkItem], bases: tuple[BaseRef, ...] = ()
) -> tuple[list[ManifestRef], dict[bytes, Manifest]]:
    """Manifests of a parent snapshot, one for each group."""
    refs: list[ManifestRef] = []
    entries: dict[bytes, Manifest] = {}
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
        entries[ref.id] = Manifest([entry_of(i) for i in group], b"", [], bases)
    return refs, entries


def entry_of(i: WorkItem) -> Entry:
    return Entry(i.path, i.kind, i.size, i.stamp, b"", part_offset=i.part_offset, part_length=i.part_length)


def run(
    items: list[WorkItem],
    *groups: list[WorkItem],
    least: int = cut.LEAST_PATCHED,
    bases: tuple[BaseRef, ...] = (),
) -> list[Segment | Kept]:
    refs, entries = parent(*groups, bases=bases)
    return list(cut.cut(found_of(items), refs, lambda ref: entries[ref.id], sizes=SIZES, least=least))


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
    found = list(cut.cut(found_of([item(b"/%d" % n, size=big) for n in range(3)]), [], lambda _: EMPTY))
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
    whole = list(cut.cut(found_of(items), [], lambda _: EMPTY))
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


MANY = [item(b"/%03d" % number) for number in range(cut.LEAST_PATCHED)]
FEW = len(MANY) // cut.PATCHED_SHARE


def changed(items: list[WorkItem], count: int, size: int = 10) -> list[WorkItem]:
    """The first `count` of the items are not as they were."""
    return [item(each.path, b"new", size) for each in items[:count]] + items[count:]


def patches_of(pieces: list[Segment | Kept]) -> list[WorkPatch]:
    return [patch for piece in pieces if isinstance(piece, Segment) for patch in piece.patches]


def test_a_few_changes_become_a_patch_of_their_manifest() -> None:
    now = [item(b"/000", b"new"), *MANY[2:64], item(b"/063+"), *MANY[64:-1]]
    (piece,) = run(now, MANY)
    (patch,) = patches_of([piece])
    assert isinstance(piece, Segment)
    assert (piece.items, piece.parents, piece.unread) == ([], [], 20)
    assert patch.base == parent(MANY)[0][0]
    assert [i.path for i in patch.items] == [b"/000", b"/063+"]
    assert patch.gone == [(b"/001", 0), (MANY[-1].path, 0)]


def test_too_many_changes_are_a_whole_manifest() -> None:
    assert len(patches_of(run(changed(MANY, FEW), MANY))) == 1
    for now in (changed(MANY, FEW + 1), MANY[FEW + 1 :], changed(MANY[1:], FEW)):
        (piece,) = run(now, MANY)
        assert isinstance(piece, Segment) and not piece.patches
        assert piece.items == now and len(piece.parents) == 1


def test_a_small_manifest_is_written_whole() -> None:
    assert patches_of(run(changed(MANY[:-1], 1), MANY[:-1])) == []


def test_a_manifest_at_the_end_of_its_chain_is_written_whole() -> None:
    base = BaseRef(bytes(24), 1, bytes(32))
    assert len(patches_of(run(changed(MANY, 1), MANY, bases=(base,) * (MAX_DEPTH - 1)))) == 1
    assert patches_of(run(changed(MANY, 1), MANY, bases=(base,) * MAX_DEPTH)) == []


def test_a_range_with_a_new_part_of_a_huge_file_is_not_patched() -> None:
    found = run(sorted([*MANY, item(b"/100+", size=2000)], key=lambda each: each.path), MANY)
    assert patches_of(found) == []
    assert [i for p in found if isinstance(p, Segment) for i in p.items if i.part_length == -1] == MANY


def test_more_bytes_than_a_segment_has_are_not_one_patch() -> None:
    some = cut.SEGMENT_BYTES // 2
    refs, entries = parent(MANY)
    for count, patched in ((2, 1), (3, 0)):
        now = found_of(changed(MANY, count, size=some))
        assert len(patches_of(list(cut.cut(now, refs, lambda ref: entries[ref.id])))) == patched


def test_patches_share_segments_within_their_bounds() -> None:
    count = cut.PATCHES + 1
    groups = [[item(b"/%d/%03d" % (n, m)) for m in range(len(MANY))] for n in range(count)]
    now = [each for group in groups for each in changed(group, 1)]
    assert [len(p.patches) for p in run(now, *groups) if isinstance(p, Segment)] == [cut.PATCHES, 1]
    large = [each for group in groups for each in changed(group, 1, size=cut.SEGMENT_BYTES // 2)]
    refs, entries = parent(*groups)
    found = [p for p in cut.cut(found_of(large), refs, lambda ref: entries[ref.id]) if isinstance(p, Segment)]
    assert [len(p.patches) for p in found] == [2, 2, 2, 2, 1]
    assert list(cut.taper(found)) == found


def test_the_bases_of_a_segments_patches_are_not_too_many_entries() -> None:
    half = cut.BASE_ENTRIES // 2
    groups = [[item(b"/%d/%05d" % (n, m)) for m in range(half)] for n in range(3)]
    now = [each for group in groups for each in changed(group, 1)]
    assert [len(p.patches) for p in run(now, *groups) if isinstance(p, Segment)] == [2, 1]


names = st.sampled_from([b"/" + n for n in (b"a", b"a/b", b"a.b", b"b", b"c/d", b"e", b"f", b"g/h/i", b"z")])


@settings(max_examples=500)
@given(
    now=st.dictionaries(names, st.sampled_from([b"1", b"1", b"1", b"2"])),
    before=st.dictionaries(names, st.sampled_from([b"1", b"1", b"1", b"2"]), min_size=4),
    sizes=st.lists(st.integers(1, 9), min_size=9, max_size=9),
    huge=st.sampled_from([0, 0, 1500]),
)
def test_every_path_is_covered_once_and_ranges_do_not_overlap(
    now: dict[bytes, bytes], before: dict[bytes, bytes], sizes: list[int], huge: int
) -> None:
    ordered = [item(p, now[p]) for p in sorted(now, key=order_key)]
    if huge and ordered:
        ordered[0] = item(ordered[0].path, b"huge", huge)
    old = [item(p, before[p]) for p in sorted(before, key=order_key)]
    groups = []
    for size in sizes:
        if old:
            groups.append(old[:size])
            old = old[size:]
    refs, entries = parent(*groups)
    ranges: list[list[tuple[bytes, bytes]]] = []
    pieces = cut.cut(found_of(ordered), refs, lambda ref: entries[ref.id], sizes=SIZES, least=1)
    for piece in cut.taper(pieces):
        if isinstance(piece, Kept):
            ranges.append([(e.path, e.stamp) for e in entries[piece.ref.id].entries])
            continue
        if piece.items:
            ranges.append([(i.path, i.stamp) for i in piece.items if not i.part_offset])
        for patch in piece.patches:
            merged = {(e.path, e.part_offset): e.stamp for e in entries[patch.base.id].entries}
            for key in patch.gone:
                del merged[key]
            merged |= {(i.path, i.part_offset): i.stamp for i in patch.items}
            ranges.append([(path, merged[path, at]) for path, at in sorted(merged, key=order_of)])
    ranges = sorted((each for each in ranges if each), key=lambda each: order_key(each[0][0]))
    assert [each for covered in ranges for each in covered] == [(i.path, i.stamp) for i in ordered]
