import base64
import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import canonical
from crypto.errors import Malformed
from tests.crypto.world import damaged


class Inner(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    name: str
    raw: bytes


class Outer(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    number: int
    inner: Inner
    many: tuple[Inner, ...]
    maybe: Inner | None


VALUE = Outer(300, Inner("name", b"raw"), (Inner("", b""), Inner("two", b"\xff" * 40)), None)
OUTERS = st.builds(
    Outer,
    st.integers(-(2**63), 2**64 - 1),
    inner := st.builds(Inner, st.text(), st.binary()),
    st.lists(inner, max_size=4).map(tuple),
    st.none() | inner,
)


@given(OUTERS)
def test_value_survives(value: Outer) -> None:
    assert canonical.decode(Outer, canonical.encode(value)) == value


@given(st.binary(max_size=200) | damaged(canonical.encode(VALUE)))
def test_bytes_from_outside_are_refused_or_are_the_one_form_of_their_value(data: bytes) -> None:
    try:
        value = canonical.decode(Outer, data)
    except Malformed:
        return
    assert canonical.encode(value) == data


@pytest.mark.parametrize(
    "again",
    [
        b"\x94\xcd\x00\x05",  # 5 in three bytes
        b"\x94\xd3" + bytes(7) + b"\x05",  # 5 in nine bytes
        b"\xdc\x00\x04\x05",  # the array's length in three bytes
    ],
)
def test_longer_form_of_the_same_value_is_refused(again: bytes) -> None:
    value = Outer(5, Inner("", b""), (), None)
    short = canonical.encode(value)
    assert short.startswith(b"\x94\x05")
    longer = again + short[2:]
    assert msgspec.msgpack.decode(longer, type=Outer) == value
    with pytest.raises(Malformed, match="canonical"):
        canonical.decode(Outer, longer)


@pytest.mark.parametrize("claim", [b"\xff\xff\xff\xff", b"\x10\x00\x00\x00"])
def test_claimed_length_costs_no_memory(claim: bytes) -> None:
    tracemalloc.start()
    try:
        for head in (b"\xdd", b"\x94\x05\x92\xa0\xc6", b"\x94\x05\x92\xa0\xc4\x00\xdd"):
            with pytest.raises(Malformed):
                canonical.decode(Outer, head + claim)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(Malformed):
        canonical.decode(Outer, b"\x91" * 100_000)


def test_message_over_its_limit_is_refused_before_it_is_read() -> None:
    data = canonical.encode(VALUE)
    assert canonical.decode(Outer, data, limit=len(data)) == VALUE
    with pytest.raises(Malformed, match="limit"):
        canonical.decode(Outer, data, limit=len(data) - 1)


@given(st.binary(max_size=300))
def test_text_survives(data: bytes) -> None:
    assert canonical.from_text(canonical.to_text(data), limit=len(data)) == data


@given(st.text(max_size=100) | st.text("AQRSTUVWXYZab_-+/= \n", max_size=20))
def test_text_from_outside_is_refused_or_is_the_one_text_of_its_bytes(text: str) -> None:
    try:
        data = canonical.from_text(text)
    except Malformed:
        return
    assert canonical.to_text(data) == text


@pytest.mark.parametrize(
    "text", ["QQ==", "QR", "QQ\n", " QQ", "+/+/", "A", "Q\N{KELVIN SIGN}", None, 5, b"QQ"]
)
def test_second_text_of_the_same_bytes_is_refused(text: object) -> None:
    assert canonical.from_text("QQ") == b"A"
    with pytest.raises(Malformed):
        canonical.from_text(text)


def test_text_limit_is_exact() -> None:
    data = bytes(100)
    for limit in range(90, 100):
        with pytest.raises(Malformed):
            canonical.from_text(base64.urlsafe_b64encode(data).rstrip(b"=").decode(), limit=limit)
