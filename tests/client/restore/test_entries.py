"""A file that comes in pieces: each byte in its place, verified at its end, and nothing of it left if it is wrong."""

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from client.errors import EntryDamaged
from client.restore.entries import GrowingEntry, check_digest
from crypto.parcel import Piece
from sources.filesystem.write import TreeWriter
from tests.client.deliveries import ParcelMaker

DATA = os.urandom(1000)


def piece_of(size: int, **changes: object) -> Piece:
    maker = ParcelMaker()
    maker.piece(b"/f", "f", size=size, **changes)
    return maker.pieces[0]


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[TreeWriter]:
    with TreeWriter(tmp_path) as made:
        yield made


def cut(data: bytes, places: list[int]) -> list[memoryview]:
    ends = [0, *sorted(places), len(data)]
    return [memoryview(data)[begin:end] for begin, end in pairwise(ends)]


@settings(max_examples=25)
@given(
    holes=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=6),
    places=st.lists(st.integers(0, 300), max_size=4),
)
def test_data_lands_between_the_holes_however_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, holes: list[tuple[int, int]], places: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("entry")
    ranges, at = [], 0
    for hole, length in holes:
        ranges.append((at + hole, length))
        at += hole + length
    size, due = at + 7, sum(length for _, length in ranges)
    data = DATA[:due]
    expected = bytearray(size)
    done = 0
    for offset, length in ranges:
        expected[offset : offset + length] = data[done : done + length]
        done += length
    piece = piece_of(size, ranges=tuple(ranges), digest=blake3(data).digest() if data else b"")
    if not ranges:
        return
    with TreeWriter(folder) as writer:
        entry = GrowingEntry(writer, piece)
        entry.write(cut(data, [place for place in places if place < due]))
        entry.check(piece)
        os.close(entry.release())
    assert (folder / "f").read_bytes() == expected


def test_more_data_than_its_map_has_room_for_is_refused_and_removed(
    writer: TreeWriter, tmp_path: Path
) -> None:
    entry = GrowingEntry(writer, piece_of(20, ranges=((0, 5), (10, 5))))
    with pytest.raises(EntryDamaged, match="more data"):
        entry.write([memoryview(DATA)[:11]])
    entry.abandon()
    assert list(tmp_path.iterdir()) == []


def test_less_data_than_its_map_says_is_not_all_of_it(writer: TreeWriter) -> None:
    piece = piece_of(20, ranges=((0, 5), (10, 5)), digest=blake3(DATA[:9]).digest())
    entry = GrowingEntry(writer, piece)
    entry.write([memoryview(DATA)[:9]])
    with pytest.raises(EntryDamaged, match="length"):
        entry.check(piece)
    entry.abandon()


@pytest.mark.parametrize("ranges", [((0, 11),), ((-1, 2),), ((5, -1),), ((0, 1), (9, 2))])
def test_a_map_that_does_not_fit_makes_no_file(
    writer: TreeWriter, tmp_path: Path, ranges: tuple[tuple[int, int], ...]
) -> None:
    with pytest.raises(EntryDamaged):
        GrowingEntry(writer, piece_of(10, ranges=ranges))
    assert list(tmp_path.iterdir()) == []


def test_a_part_lands_at_its_place_and_stays_when_it_is_given_up(writer: TreeWriter, tmp_path: Path) -> None:
    entry = GrowingEntry(writer, piece_of(1000, part_offset=600, part_length=100))
    assert entry.is_part
    entry.write([memoryview(DATA)[:100]])
    assert entry.received == 100
    entry.abandon()
    found = (tmp_path / "f").read_bytes()
    assert (len(found), found[600:700]) == (1000, DATA[:100]), "other segments write this file as well"


@pytest.mark.parametrize(
    ("changes", "length", "sound"),
    [
        ({"digest": blake3(DATA).digest()}, 1000, True),
        ({"digest": blake3(DATA[1:]).digest()}, 1000, False),
        ({"digest": b""}, 1000, False),
        ({"digest": b"", "size": 0}, 0, True),
        ({"digest": b"", "size": 0}, 5, False),
        ({"digest": b"", "size": 5}, 0, False),
        ({"digest": b"", "size": 5, "ranges": ((0, 0),)}, 0, True),
        ({"digest": b"", "size": 5, "part_length": 0}, 0, True),
    ],
)
def test_content_without_a_digest_is_never_taken_for_verified(
    changes: dict[str, object], length: int, sound: bool
) -> None:
    piece = msgspec.structs.replace(piece_of(1000), **changes)
    if sound:
        check_digest(piece, blake3(DATA).digest(), length)
    else:
        with pytest.raises(EntryDamaged):
            check_digest(piece, blake3(DATA).digest(), length)
