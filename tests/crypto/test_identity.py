from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import canonical, signing
from crypto.errors import Malformed
from crypto.identity import Identity, _Stored
from crypto.signing import Domain
from tests.crypto.world import CARRIERS, damaged


class Body(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    word: str


IDENTITY = Identity.generate("restore")
FILE = IDENTITY.encode()
STORED = canonical.decode(_Stored, FILE)


def test_identity_survives_its_file() -> None:
    again = Identity.decode(FILE)
    assert (again.id, again.name, again.sign_public) == (IDENTITY.id, IDENTITY.name, IDENTITY.sign_public)
    assert again.opening.public == IDENTITY.opening.public
    signed = again.sign(Domain.NOTE, Body("hello"))
    assert signing.verify(IDENTITY.sign_public, Domain.NOTE, signed, Body) == Body("hello")


@given(damaged(FILE) | st.binary(max_size=300))
def test_damaged_file_is_refused_or_another_identity(data: bytes) -> None:
    try:
        again = Identity.decode(data)
    except Malformed:
        return
    assert again.encode() == data != FILE


@pytest.mark.parametrize(
    "change",
    [
        {"version": 0},
        {"version": 2},
        {"id": b""},
        {"id": bytes(17)},
        {"signing": b""},
        {"signing": bytes(31)},
        {"signing": bytes(64)},
        {"opening": b""},
        {"opening": bytes(95)},
    ],
)
def test_file_of_another_version_or_with_no_key_is_malformed(change: dict[str, int | bytes]) -> None:
    with pytest.raises(Malformed):
        Identity.decode(canonical.encode(msgspec.structs.replace(STORED, **change)))


def test_generated_identities_share_nothing() -> None:
    one, two = Identity.generate("a"), Identity.generate("a")
    assert one.id != two.id
    assert one.sign_public != two.sign_public
    assert one.opening.public != two.opening.public


@pytest.mark.parametrize("carry_off", CARRIERS)
def test_identity_is_not_carried_off(carry_off: Callable[[object], object]) -> None:
    with pytest.raises(TypeError):
        carry_off(IDENTITY)


def test_private_keys_are_not_shown() -> None:
    for text in (repr(IDENTITY), str(IDENTITY), repr(STORED), str(STORED)):
        assert repr(STORED.signing)[2:-1] not in text
        assert STORED.signing.hex() not in text
