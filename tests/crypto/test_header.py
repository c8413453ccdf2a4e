import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import HeaderMismatch, Malformed, UnknownFormat
from crypto.header import MAX_HEADER, Header, Kind
from tests.crypto.world import damaged

ID = st.binary(min_size=16, max_size=16)
HEADERS = st.builds(
    Header, ID, ID, st.integers(1, 2**32 - 1), st.sampled_from(Kind), st.binary(min_size=16, max_size=32)
)
HEADER = Header(b"t" * 16, b"v" * 16, 7, Kind.PACK, b"o" * 16)
OTHERS = {
    "vault": [HEADER._replace(tenant=b"T" * 16), HEADER._replace(vault=b"V" * 16)],
    "not a": [HEADER._replace(kind=kind) for kind in Kind if kind != Kind.PACK],
    "epoch": [HEADER._replace(epoch=6), HEADER._replace(epoch=8)],
    "another": [HEADER._replace(object_id=b"O" * 16), HEADER._replace(object_id=b"o" * 17)],
}


@given(HEADERS, st.binary(max_size=40))
def test_header_survives_and_tells_its_length(header: Header, rest: bytes) -> None:
    data = header.encode()
    assert Header.decode(data + rest) == (header, len(data))
    assert Header.decode(memoryview(data + rest)) == (header, len(data))
    assert len(data) <= MAX_HEADER


@given(HEADERS, HEADERS)
def test_two_headers_never_have_one_encoding(one: Header, two: Header) -> None:
    assert (one == two) == (one.encode() == two.encode())
    if one != two:
        assert not one.encode().startswith(two.encode())


@given(st.binary(max_size=100) | damaged(HEADER.encode()) | damaged(HEADER.encode() + bytes(16)))
def test_bytes_from_outside_are_refused_or_are_a_header(data: bytes) -> None:
    try:
        header, length = Header.decode(data)
    except UnknownFormat:
        return
    assert header.encode() == data[:length]


@pytest.mark.parametrize(
    ("at", "values"),
    [
        (0, b"s\0R"),  # magic
        (4, b"\x01\xff"),  # version, high byte
        (5, b"\x00\x02\xff"),  # version: an older one, newer ones
        (6, b"\x01\xff"),  # suite, high byte
        (7, b"\x00\x02\xff"),  # suite: below the floor, unknown ones
        (44, bytes({*range(256)} - {int(kind) for kind in Kind})),
        (45, b"\x00\x0f\x11\x21\xff"),  # length of the object id: too short, longer than the data, too long
    ],
)
def test_unknown_version_suite_kind_or_length_is_refused(at: int, values: bytes) -> None:
    data = HEADER.encode()
    for value in values:
        with pytest.raises(UnknownFormat):
            Header.decode(data[:at] + bytes([value]) + data[at + 1 :])


def test_every_truncation_is_refused() -> None:
    data = HEADER.encode()
    for length in range(len(data)):
        with pytest.raises(UnknownFormat):
            Header.decode(data[:length])


def test_epoch_zero_is_refused() -> None:
    with pytest.raises(UnknownFormat, match="epoch"):
        Header.decode(HEADER.encode()[:40] + bytes(4) + HEADER.encode()[44:])


@pytest.mark.parametrize(("word", "others"), list(OTHERS.items()))
def test_other_object_is_refused_by_name_of_the_difference(word: str, others: list[Header]) -> None:
    HEADER.require(HEADER)
    for other in others:
        with pytest.raises(HeaderMismatch, match=word):
            other.require(HEADER)


@pytest.mark.parametrize(
    "change",
    [
        {"tenant": b"t" * 15},  # packing would pad it
        {"tenant": b"t" * 17},  # packing would cut it
        {"vault": b""},
        {"vault": b"v" * 32},
        {"object_id": b"o" * 15},
        {"object_id": b"o" * 33},
        {"epoch": 0},
        {"epoch": -1},
        {"epoch": 2**32},
    ],
)
def test_header_that_packing_would_bend_is_refused(change: dict[str, bytes | int]) -> None:
    with pytest.raises(Malformed):
        HEADER._replace(**change).encode()  # type: ignore[arg-type]
