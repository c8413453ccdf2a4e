"""Batches: every byte of every file once, in order, in parcels of bounded size."""

from hypothesis import given
from hypothesis import strategies as st

from repository.manifest import Entry
from workers.restore import batch as module
from workers.restore.batch import batches


def entry(path: bytes, *extents: tuple[int, int, int]) -> Entry:
    flat = [n for extent in extents for n in extent]
    return Entry(path, "f", sum(e[2] for e in extents), b"", b"", flat, b"d" * 32)


def test_neighbours_share_a_chunk_in_one_parcel() -> None:
    (only,) = batches([entry(b"/a", (0, 0, 5)), entry(b"/b", (0, 5, 7))], lambda n: 100)
    assert only.chunks == [0]
    assert [p.extents for p in only.pieces] == [(0, 0, 5), (0, 5, 7)]
    assert all(p.last for p in only.pieces)


def test_a_large_file_goes_on_in_the_next_parcel() -> None:
    size = module.PARCEL_BYTES // 2 + 1
    found = list(batches([entry(b"/a", (0, 0, 10), (1, 0, 20))], lambda n: size))
    first, second = (b.pieces[0] for b in found)
    assert (first.last, first.data_offset, first.extents) == (False, 0, (0, 0, 10))
    assert (second.last, second.data_offset, second.extents) == (True, 10, (0, 0, 20))


def test_an_empty_file_is_delivered() -> None:
    (only,) = batches([entry(b"/empty")], lambda n: 1)
    assert only.pieces[0].last and only.pieces[0].extents == ()


extents = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(1, 9)), max_size=5)


@given(files=st.lists(extents, max_size=12), size=st.integers(1, module.PARCEL_BYTES))
def test_every_extent_is_delivered_once_in_order(files: list[list[tuple[int, int, int]]], size: int) -> None:
    entries = [entry(b"/%d" % n, *each) for n, each in enumerate(files)]
    got: dict[bytes, list[tuple[int, int, int]]] = {e.path: [] for e in entries}
    done: dict[bytes, int] = {}
    ended = []
    for batch in batches(entries, lambda n: size):
        assert batch.size <= max(size, module.PARCEL_BYTES)
        for piece in batch.pieces:
            assert piece.data_offset == done.get(piece.path, 0)
            for i in range(0, len(piece.extents), 3):
                at, offset, length = piece.extents[i : i + 3]
                got[piece.path].append((batch.chunks[at], offset, length))
                done[piece.path] = done.get(piece.path, 0) + length
            if piece.last:
                ended.append(piece.path)
    assert got == {e.path: files[n] for n, e in enumerate(entries)}
    assert ended == [e.path for e in entries]
