import os
from contextlib import suppress

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from client.errors import ChunkUnusable
from client.restore.chunks import MAX_CHUNK, SLOTS, ParcelChunks
from crypto.parcel import ChunkInfo
from tests.client.deliveries import ParcelMaker


def opened(maker: ParcelMaker) -> ParcelChunks:
    chunks = ParcelChunks()
    chunks.begin(maker.chunks, memoryview(b"".join(maker.payload)))
    return chunks


def test_raw_and_compressed_chunks_give_their_plain_bytes():
    maker = ParcelMaker()
    maker.chunk(b"abc" * 1000)
    maker.chunk(b"raw bytes", codec=0)
    chunks = opened(maker)
    assert chunks.view(0, 3, 3) == b"abc"
    assert chunks.view(1, 4, 5) == b"bytes"
    assert chunks.view(0, 3000, 0) == b""


def test_more_chunks_than_buffers_in_any_order():
    maker = ParcelMaker()
    data = [os.urandom(1000) + bytes(3000) for _ in range(3 * SLOTS)]
    for each in data:
        maker.chunk(each)
    chunks = opened(maker)
    for number in [*range(3 * SLOTS), *reversed(range(3 * SLOTS)), 0, 0, SLOTS]:
        assert chunks.view(number, 0, 4000) == data[number]


@given(st.lists(st.integers(0, 3 * SLOTS - 1), max_size=60))
def test_what_was_asked_for_last_stays_good_in_whatever_order(numbers: list[int]):
    maker = ParcelMaker()
    data = [b"%d" % number * 500 for number in range(3 * SLOTS)]
    for each in data:
        maker.chunk(each)
    chunks = opened(maker)
    views = [(number, chunks.view(number, 0, len(data[number]))) for number in numbers]
    # One chunk among others may be asked for a hundred times: the others count, and not how often.
    last = list(dict.fromkeys(reversed(numbers)))[:SLOTS]
    for number, view in views[::-1]:
        if number not in last:
            break
        assert view == data[number]


def test_damaged_chunks_use_no_buffer_up():
    maker = ParcelMaker()
    for _ in range(2 * SLOTS):
        maker.chunk(b"good" * 100)
    maker.payload = [b"".join([each[:-1], b"?"]) for each in maker.payload[:-1]] + maker.payload[-1:]
    chunks = opened(maker)
    for number in range(2 * SLOTS - 1):
        with suppress(ChunkUnusable):
            chunks.view(number, 0, 400)
    assert chunks.view(2 * SLOTS - 1, 0, 400) == b"good" * 100


def test_the_next_parcel_does_not_see_the_chunks_of_the_last():
    first, second = ParcelMaker(), ParcelMaker()
    first.chunk(b"first" * 100)
    second.chunk(b"other" * 100)
    chunks = opened(first)
    assert chunks.view(0, 0, 5) == b"first"
    chunks.begin(second.chunks, memoryview(b"".join(second.payload)))
    assert chunks.view(0, 0, 5) == b"other"


@pytest.mark.parametrize(
    ("number", "offset", "length"), [(0, 0, 11), (0, 11, 1), (0, -1, 2), (0, 0, -1), (1, 0, 1), (-1, 0, 1)]
)
def test_bytes_that_are_not_there_are_refused(number: int, offset: int, length: int):
    maker = ParcelMaker()
    maker.chunk(b"0123456789")
    with pytest.raises(ChunkUnusable):
        opened(maker).view(number, offset, length)


@pytest.mark.parametrize(
    ("info", "payload"),
    [
        pytest.param(ChunkInfo(1, 100, 4), b"junk", id="no frame"),
        pytest.param(ChunkInfo(0, 5, 4), b"four", id="raw of another length"),
        pytest.param(ChunkInfo(7, 4, 4), b"four", id="unknown codec"),
        pytest.param(ChunkInfo(0, MAX_CHUNK + 1, 4), b"four", id="longer than chunks may be"),
        pytest.param(ChunkInfo(0, -1, 0), b"", id="negative length"),
    ],
)
def test_a_damaged_chunk_is_named_and_nothing_else(info: ChunkInfo, payload: bytes):
    chunks = ParcelChunks()
    chunks.begin((info, ChunkInfo(0, 4, 4)), memoryview(payload + b"good"))
    with pytest.raises(ChunkUnusable):
        chunks.view(0, 0, 1)
    assert chunks.view(1, 0, 4) == b"good"


def test_a_frame_that_would_grow_beyond_its_stated_size_is_not_opened():
    bomb = zstandard.ZstdCompressor().compress(bytes(MAX_CHUNK))
    chunks = ParcelChunks()
    chunks.begin((ChunkInfo(1, 100, len(bomb)),), memoryview(bomb))
    with pytest.raises(ChunkUnusable, match="length"):
        chunks.view(0, 0, 100)


def test_a_frame_cut_short_is_refused():
    packed = zstandard.ZstdCompressor().compress(os.urandom(5000))[:-100]
    chunks = ParcelChunks()
    chunks.begin((ChunkInfo(1, 5000, len(packed)),), memoryview(packed))
    with pytest.raises(ChunkUnusable):
        chunks.view(0, 0, 5000)
