"""Bytes on their way: nothing lost or doubled at the seams, and what an answer says of itself is not believed."""

import io
import threading
import zlib
from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repository.errors import StoreUnreachable
from repository.s3.transfer import Body, content_range, crc32, cut, flat, in_parallel, whole_number

VIEWS = st.lists(st.binary(min_size=1, max_size=9), max_size=6).map(
    lambda parts: [memoryview(part) for part in parts]
)


@given(views=VIEWS, size=st.integers(1, 12))
def test_pieces_are_all_of_one_size_but_the_last(views: list[memoryview], size: int) -> None:
    whole = b"".join(views)
    pieces = [b"".join(piece) for piece in cut(views, size)]
    assert pieces == [whole[at : at + size] for at in range(0, len(whole), size)]


@given(views=VIEWS, steps=st.lists(st.integers(1, 20), min_size=1))
def test_a_body_reads_as_one_file_and_again_after_a_seek(views: list[memoryview], steps: list[int]) -> None:
    whole, body = b"".join(views), Body(views)
    assert len(body) == len(whole)
    got = b""
    for step in steps:
        assert body.tell() == len(got)
        got += body.read(step) or b""
    assert whole.startswith(got)
    body.seek(0)
    assert body.read() == whole
    assert body.read(1) == b""


@pytest.mark.parametrize(
    ("offset", "whence", "at"),
    [
        (3, io.SEEK_SET, 3),
        (-1, io.SEEK_END, 5),
        (0, io.SEEK_END, 6),
        (99, io.SEEK_SET, 6),
        (-99, io.SEEK_CUR, 0),
    ],
)
def test_a_seek_stays_within_the_body(offset: int, whence: int, at: int) -> None:
    body = Body([memoryview(b"abc"), memoryview(b"def")])
    body.read(2)
    assert body.seek(offset, whence) == at
    assert body.read() == b"abcdef"[at:]


@given(views=VIEWS)
def test_the_checksum_is_of_the_joined_bytes(views: list[memoryview]) -> None:
    assert int.from_bytes(b64decode(crc32(views)), "big") == zlib.crc32(b"".join(views))


def test_parts_of_any_kind_are_bytes_without_the_empty_ones() -> None:
    words = memoryview(bytearray(8)).cast("I")
    assert [len(view) for view in flat([b"abc", b"", bytearray(2), words])] == [3, 2, 8]


@pytest.mark.parametrize(
    ("length", "said", "found"),
    [
        (5, "bytes 10-14/100", (10, 100)),
        (1, "bytes 0-0/1", (0, 1)),
        (7, "", (0, 7)),
        (0, "", (0, 0)),
    ],
)
def test_where_an_answers_bytes_are_is_read(length: int, said: str, found: tuple[int, int]) -> None:
    answer = {"ContentLength": length} | ({"ContentRange": said} if said else {})
    assert content_range(answer) == found


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (4, "bytes 10-14/100"),
        (5, "bytes 10-14/14"),
        (0, "bytes 10-9/100"),
        (5, "bytes 10-14/*"),
        (5, "bytes */100"),
        (5, "items 10-14/100"),
        (5, "bytes 10-14/100, 1-2/3"),
        (5, "bytes \u0661\u0660-\u0661\u0664/100"),
        (5, "bytes 10-14/" + "9" * 20),
        (-1, ""),
        (True, "bytes 3-4/9"),
        (None, ""),
        ("5", ""),
    ],
)
def test_an_answer_that_does_not_say_where_its_bytes_are_is_refused(length: object, said: str) -> None:
    with pytest.raises(ValueError, match=r"no (range|length)"):
        content_range({"ContentLength": length, "ContentRange": said})


def test_a_length_is_a_number_or_nothing() -> None:
    assert whole_number(0) == 0
    with pytest.raises(LookupError):
        content_range({})


def test_results_come_in_the_order_of_the_calls_whoever_is_first() -> None:
    second = threading.Event()

    def slow() -> int:
        assert second.wait(20)
        return 1

    def quick() -> int:
        second.set()
        return 2

    assert in_parallel([slow, quick], 2) == [1, 2]
    assert not [each for each in threading.enumerate() if each.name.startswith("s3")]


def test_after_an_error_no_further_call_begins() -> None:
    begun: list[int] = []

    def fail() -> int:
        raise StoreUnreachable("away")

    def begin() -> int:
        begun.append(1)
        return 0

    with pytest.raises(StoreUnreachable):
        in_parallel([fail, begin, begin], 1)
    assert begun == []
