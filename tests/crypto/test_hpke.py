import os
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import hpke
from crypto.errors import Malformed, SealBroken
from crypto.hpke import PRIVATE_BYTES, PUBLIC_BYTES, HpkeKey
from crypto.signing import Domain
from tests.crypto.world import CARRIERS, damaged

KEY = HpkeKey.generate()
BOUND = hpke.info(Domain.NOTE, b"job")
SEALED = hpke.seal_to(KEY.public, BOUND, b"secret")
FIELDS = st.tuples(st.sampled_from(Domain), st.lists(st.binary(max_size=8), max_size=3).map(tuple))


def test_message_opens_for_its_receiver() -> None:
    assert KEY.open(SEALED, BOUND) == b"secret"
    assert b"secret" not in SEALED


def test_two_seals_of_the_same_message_differ() -> None:
    assert hpke.seal_to(KEY.public, BOUND, b"secret") != SEALED


def test_another_receiver_cannot_open() -> None:
    with pytest.raises(SealBroken):
        HpkeKey.generate().open(SEALED, BOUND)


@pytest.mark.parametrize(
    "other", [hpke.info(Domain.NOTE, b"jo", b"b"), hpke.info(Domain.SPEC, b"job"), BOUND + b"\0", b""]
)
def test_message_for_another_purpose_does_not_open(other: bytes) -> None:
    with pytest.raises(SealBroken):
        KEY.open(SEALED, other)


@given(FIELDS, FIELDS)
def test_different_bindings_have_different_info(
    one: tuple[Domain, tuple[bytes, ...]], two: tuple[Domain, tuple[bytes, ...]]
) -> None:
    assert (one == two) == (hpke.info(one[0], *one[1]) == hpke.info(two[0], *two[1]))


@given(damaged(SEALED) | st.binary(max_size=1400))
def test_altered_message_does_not_open(sealed: bytes) -> None:
    with pytest.raises(SealBroken):
        KEY.open(sealed, BOUND)


def test_both_halves_of_the_hybrid_are_needed() -> None:
    """A message opens neither with the right X25519 and another ML-KEM key, nor the other way round."""
    mine, other = KEY.seed(), HpkeKey.generate().seed()
    for seed in (mine[:64] + other[64:], other[:64] + mine[64:]):
        with pytest.raises(SealBroken):
            HpkeKey.from_seed(seed).open(SEALED, BOUND)


@pytest.mark.parametrize(
    "public",
    [
        b"",
        KEY.public[:-1],
        KEY.public + b"\0",
        KEY.public[:1184],
        bytes(PUBLIC_BYTES),
        b"\xff" * PUBLIC_BYTES,
        KEY.public[:1184] + bytes(32),  # X25519 point of small order
        KEY.public[:1184] + b"\x01" + bytes(31),
        b"\xff" * 1184 + KEY.public[1184:],  # ML-KEM coefficients out of range
    ],
)
def test_what_is_no_public_key_is_not_sealed_to(public: bytes) -> None:
    with pytest.raises(Malformed):
        hpke.seal_to(public, BOUND, b"secret")


@given(st.binary(max_size=64))
def test_random_public_keys_are_refused_or_sealed_to(tail: bytes) -> None:
    try:
        sealed = hpke.seal_to((KEY.public + tail)[-PUBLIC_BYTES:], BOUND, b"secret")
    except Malformed:
        return
    assert b"secret" not in sealed


def test_seed_gives_the_same_key_again() -> None:
    again = HpkeKey.from_seed(KEY.seed())
    assert (again.public, again.open(SEALED, BOUND)) == (KEY.public, b"secret")
    assert len(KEY.seed()) == PRIVATE_BYTES


@pytest.mark.parametrize("length", [0, 64, PRIVATE_BYTES - 1, PRIVATE_BYTES + 1])
def test_seed_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(Malformed):
        HpkeKey.from_seed(os.urandom(length))


@pytest.mark.parametrize("carry_off", CARRIERS)
def test_private_key_is_not_carried_off(carry_off: Callable[[object], object]) -> None:
    with pytest.raises(TypeError):
        carry_off(KEY)


def test_private_key_is_not_shown() -> None:
    assert {repr(KEY), str(KEY), f"{KEY}"} == {"<HpkeKey>"}
