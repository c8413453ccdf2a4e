import os
from collections.abc import Iterator, Sequence
from typing import overload

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import KeyWiped, SealBroken
from crypto.header import Header, Kind
from crypto.sealing import PIECE, PREFIX, TAG, Buffer, open_into, open_sealed, seal, seal_into, sealed_length
from crypto.secret import SecretKey
from tests.crypto.world import damaged

KEY = SecretKey.generate()
HEADER = Header(b"t" * 16, b"v" * 16, 7, Kind.PACK, b"o" * 16)
CONTEXT = HEADER.encode()
OTHERS = [
    HEADER._replace(tenant=b"T" * 16),
    HEADER._replace(vault=b"V" * 16),
    HEADER._replace(tenant=HEADER.vault, vault=HEADER.tenant),
    HEADER._replace(epoch=8),
    *(HEADER._replace(kind=kind) for kind in Kind if kind != HEADER.kind),
    HEADER._replace(object_id=b"O" * 16),
    HEADER._replace(object_id=b"o" * 17),
]
SIZES = (0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 5)


def refuse(context: bytes, sealed: bytes, key: SecretKey = KEY) -> None:
    with pytest.raises(SealBroken):
        open_sealed(key, context, sealed)
    out = bytearray(b"\xaa" * len(sealed))
    with pytest.raises(SealBroken):
        open_into(key, context, sealed, memoryview(out))
    assert out == bytes(len(sealed))


@pytest.mark.parametrize("size", SIZES)
def test_message_opens_and_has_the_length_foretold(size: int) -> None:
    plain = os.urandom(size)
    sealed = seal(KEY, CONTEXT, plain)
    assert len(sealed) == sealed_length(size)
    assert open_sealed(KEY, CONTEXT, sealed) == plain
    out = bytearray(len(sealed))
    assert open_into(KEY, CONTEXT, sealed, memoryview(out)) == size
    assert out[:size] == plain


@given(st.lists(st.binary(max_size=40_000), max_size=4))
def test_parts_are_one_message(parts: list[bytes]) -> None:
    plain = b"".join(parts)
    out = memoryview(bytearray(sealed_length(len(plain)) + 9))
    length = seal_into(KEY, CONTEXT, parts, out)
    assert length == sealed_length(len(plain))
    assert open_sealed(KEY, CONTEXT, out[:length]) == plain
    assert open_sealed(KEY, CONTEXT, seal(KEY, CONTEXT, parts)) == plain


@given(damaged(seal(KEY, CONTEXT, os.urandom(PIECE + 100))) | st.binary(max_size=200))
def test_altered_message_does_not_open(sealed: bytes) -> None:
    refuse(CONTEXT, sealed)


@pytest.mark.parametrize("size", SIZES)
def test_message_cut_anywhere_near_a_boundary_does_not_open(size: int) -> None:
    sealed = seal(KEY, CONTEXT, os.urandom(size))
    whole = PIECE + TAG
    ends = {PREFIX + n * whole + d for n in range(5) for d in (-1, 0, 1, TAG)} | {0, 24, len(sealed) - 1}
    for end in ends:
        if 0 <= end < len(sealed):
            refuse(CONTEXT, sealed[:end])


def test_pieces_in_another_order_do_not_open() -> None:
    sealed = seal(KEY, CONTEXT, os.urandom(3 * PIECE))
    one, two = PREFIX + PIECE + TAG, PREFIX + 2 * (PIECE + TAG)
    refuse(CONTEXT, sealed[:PREFIX] + sealed[one:two] + sealed[PREFIX:one] + sealed[two:])
    refuse(CONTEXT, sealed[:PREFIX] + sealed[one:])


def test_pieces_of_two_messages_do_not_mix() -> None:
    one, two = (seal(KEY, CONTEXT, os.urandom(2 * PIECE)) for _ in range(2))
    for at in (24, PREFIX, PREFIX + PIECE + TAG):
        refuse(CONTEXT, one[:at] + two[at:])


@pytest.mark.parametrize("other", OTHERS, ids=str)
def test_message_of_another_object_does_not_open(other: Header) -> None:
    refuse(CONTEXT, seal(KEY, other.encode(), b"swapped"))


def test_message_under_another_key_does_not_open() -> None:
    refuse(CONTEXT, seal(SecretKey.generate(), CONTEXT, b"of another epoch's key"))


def test_two_seals_of_the_same_bytes_have_nothing_in_common() -> None:
    one, two = (seal(KEY, CONTEXT, bytes(64)) for _ in range(2))
    assert not any(one[i : i + 8] in two for i in range(len(one) - 8))


def test_wiped_key_neither_seals_nor_opens() -> None:
    sealed = seal(KEY, CONTEXT, b"plain")
    key = SecretKey(KEY.view())
    key.wipe()
    out = memoryview(bytearray(200))
    with pytest.raises(KeyWiped):
        seal(key, CONTEXT, b"plain")
    with pytest.raises(KeyWiped):
        seal_into(key, CONTEXT, b"plain", out)
    with pytest.raises(KeyWiped):
        open_sealed(key, CONTEXT, sealed)
    with pytest.raises(KeyWiped):
        open_into(key, CONTEXT, sealed, out)


class Expiring(Sequence[Buffer]):
    """Parts in the midst of which the key's time is over, as when the cache is swept in another thread."""

    def __init__(self, key: SecretKey) -> None:
        self._key = key

    def __iter__(self) -> Iterator[Buffer]:
        yield b"before"
        self._key.wipe()
        yield b"after"

    def __len__(self) -> int:
        return 2

    @overload
    def __getitem__(self, at: int) -> Buffer: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Buffer]: ...
    def __getitem__(self, at: int | slice) -> Buffer | Sequence[Buffer]:
        raise NotImplementedError


def test_nothing_leaves_that_may_be_sealed_under_zeros() -> None:
    key = SecretKey.generate()
    with pytest.raises(KeyWiped):
        seal(key, CONTEXT, Expiring(key))
    key = SecretKey.generate()
    with pytest.raises(KeyWiped):
        seal_into(key, CONTEXT, Expiring(key), memoryview(bytearray(200)))
