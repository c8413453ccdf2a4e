"""Pieces to a stream: in order, whole, each byte verified; or an error and never a wrong byte."""

import io
import random
from itertools import pairwise

import pytest
from blake3 import blake3

from client.dump.sink import Content
from client.dump.tar import TarSink
from client.dump.unpack import Unpacker
from client.errors import DumpBroken
from crypto.parcel import OpenParcel, Piece
from tests.client.deliveries import ParcelMaker, meta

DATA = random.Random(2).randbytes(100_000)
DIGEST = blake3(DATA).digest()


class Out:
    """An unpacker of the content of /a."""

    def __init__(self) -> None:
        self.made: list[Piece] = []
        self.out = io.BytesIO()
        self.unpacker = Unpacker(self._make)

    def _make(self, first: Piece) -> Content:
        self.made.append(first)
        return Content(self.out, b"/a")

    def take(self, *makers: ParcelMaker) -> None:
        for maker in makers:
            payload = memoryview(b"".join(bytes(each) for each in maker.payload))
            self.unpacker.take(OpenParcel(maker.table(), payload))

    @property
    def written(self) -> bytes:
        return self.out.getvalue()


def cut(*places: int, **changes: object) -> list[ParcelMaker]:
    """DATA as the file /a in parcels that begin at the given places."""
    made = []
    for begin, end in pairwise((*places, len(DATA))):
        maker = ParcelMaker()
        number = maker.chunk(DATA[begin:end])
        fields = {
            "size": len(DATA),
            "digest": DIGEST,
            "data_offset": begin,
            "last": end == len(DATA),
            "extents": (number, 0, end - begin),
            **changes,
        }
        maker.piece(b"/a", "f", **fields)
        made.append(maker)
    return made


def test_a_file_comes_out_of_however_many_parcels() -> None:
    for places in ((0,), (0, 50_000), (0, 1, 99_999)):
        out = Out()
        out.take(*cut(*places))
        out.unpacker.finish({})
        assert out.written == DATA
        assert (out.unpacker.files, out.unpacker.failed) == (1, {})


def test_what_is_delivered_again_is_written_once() -> None:
    first, second, third = cut(0, 30_000, 60_000)
    other = cut(0, 45_000)
    out = Out()
    out.take(first, first, second, *other, third, other[1])
    assert (out.written, out.unpacker.files, out.unpacker.failed) == (DATA, 1, {})
    (whole,) = cut(0)
    out = Out()
    out.take(whole, whole)
    assert (out.written, out.unpacker.files) == (DATA, 1)


def test_a_gap_ends_the_dump_with_what_is_right() -> None:
    first, _, third = cut(0, 30_000, 60_000)
    out = Out()
    with pytest.raises(DumpBroken, match="earlier part"):
        out.take(first, third)
    assert out.written == DATA[:30_000]


def test_the_beginning_alone_is_no_file() -> None:
    out = Out()
    out.take(cut(0, 30_000)[0])
    with pytest.raises(DumpBroken, match="the reason"):
        out.unpacker.finish({b"/a": "the reason"})
    out = Out()
    other = ParcelMaker()
    other.file(b"/b", b"other")
    with pytest.raises(DumpBroken, match="/a: the rest"):
        out.take(cut(0, 30_000)[0], other)
    assert out.written == DATA[:30_000]


def test_of_a_small_file_with_another_digest_nothing_is_written() -> None:
    out = Out()
    out.take(*cut(0, digest=blake3(b"other").digest()))
    assert out.written == b""
    assert "digest differs" in out.unpacker.failed[b"/a"]


def test_a_large_file_with_another_digest_ends_the_dump() -> None:
    out = Out()
    with pytest.raises(DumpBroken, match="digest differs"):
        out.take(*cut(0, 30_000, digest=blake3(b"other").digest()))


def test_a_chunk_that_does_not_decompress_is_no_content() -> None:
    (maker,) = cut(0)
    maker.payload[0] = bytes(len(maker.payload[0]))
    out = Out()
    out.take(maker)
    assert out.written == b""
    assert b"/a" in out.unpacker.failed


def parts(*places: int, size: int) -> list[ParcelMaker]:
    """DATA as the parts of a huge file that begin at the given places; the last may end in a hole."""
    made = []
    for begin, end in pairwise((*places, size)):
        data = DATA[begin:end]
        maker = ParcelMaker()
        extents = (maker.chunk(data), 0, len(data)) if data else ()
        maker.piece(
            b"/a",
            "f",
            size=size,
            digest=blake3(data).digest(),
            part_offset=begin,
            part_length=end - begin,
            ranges=((begin, len(data)),) if len(data) < end - begin else (),
            extents=extents,
        )
        made.append(maker)
    return made


def test_parts_and_holes_are_joined() -> None:
    out = Out()
    out.take(*parts(0, 40_000, 3_000_000, size=5_000_000))
    out.unpacker.finish({})
    assert out.written == DATA + bytes(4_900_000)


def test_a_part_that_is_missing_is_not_filled() -> None:
    first, _, third = parts(0, 40_000, 80_000, size=100_000)
    out = Out()
    with pytest.raises(DumpBroken, match="earlier part"):
        out.take(first, third)
    out = Out()
    out.take(third)
    assert (out.written, list(out.unpacker.failed)) == (b"", [b"/a"])


@pytest.mark.parametrize("ranges", [((0, 60_000), (50_000, 40_000)), ((0, 99_999),), ((1, 100_000),), ()])
def test_holes_that_do_not_fit_end_the_dump(ranges: tuple[tuple[int, int], ...]) -> None:
    out = Out()
    size = 100_000 if ranges else 100_001
    with pytest.raises(DumpBroken):
        out.take(*cut(0, 50_000, ranges=ranges, size=size))


def test_metadata_of_another_kind_is_refused() -> None:
    out = Out()
    maker = ParcelMaker()
    maker.piece(b"/a", "d", meta=meta("f"))
    out.take(maker)
    assert "another kind" in out.unpacker.failed[b"/a"]


def test_names_that_lead_elsewhere_do_not_get_into_an_archive() -> None:
    out = io.BytesIO()
    unpacker = Unpacker(lambda _: TarSink(out, b"/a"))
    for path in (b"/a/../b", b"/b", b"/a//b", b"/ab"):
        maker = ParcelMaker()
        maker.file(path, b"x")
        unpacker._done = (b"", -1)
        unpacker.take(OpenParcel(maker.table(), memoryview(b"".join(bytes(each) for each in maker.payload))))
        assert "not below" in unpacker.failed[path]
    assert out.getvalue() == b""
