import hashlib
from itertools import permutations

import msgspec
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from crypto import canonical, signing
from crypto.errors import CryptoError, Malformed, Untrusted
from crypto.signing import Domain, Signed
from tests.crypto.world import damaged


class Body(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    word: str


class OtherBody(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    number: int


KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes_raw()
SIGNER = b"signer of 16 byt"
BODY = Body("hello")
SIGNED = signing.sign(KEY, SIGNER, Domain.NOTE, BODY)

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
SMALL_ORDER_Y = (
    0,
    1,
    P - 1,
    P,
    P + 1,
    0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
    P - 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
)
SMALL_ORDER_KEYS = [(y | sign << 255).to_bytes(32, "little") for y in SMALL_ORDER_Y for sign in (0, 1)]


def test_signature_holds_and_gives_the_body() -> None:
    assert signing.verify(PUBLIC, Domain.NOTE, SIGNED, Body) == BODY


@pytest.mark.parametrize(("signed_for", "used_for"), list(permutations(Domain, 2)))
def test_signature_of_one_domain_is_worth_nothing_in_another(signed_for: Domain, used_for: Domain) -> None:
    with pytest.raises(Untrusted):
        signing.verify(PUBLIC, used_for, signing.sign(KEY, SIGNER, signed_for, BODY), Body)


def test_no_domain_begins_another() -> None:
    assert not any(one.startswith(two) for one, two in list(permutations(Domain, 2)))


@pytest.mark.parametrize(
    "change",
    [
        {"signer": b"another 16 bytes"},
        {"body": canonical.encode(Body("hallo"))},
        {"body": b""},
        {"signature": bytes(64)},
        {"signature": b""},
        {"signature": SIGNED.signature + b"\0"},
        # Bytes moved from one field into the next.
        {"signer": SIGNER[:-1], "body": SIGNER[-1:] + SIGNED.body},
        {"signer": SIGNER + SIGNED.body[:1], "body": SIGNED.body[1:]},
    ],
)
def test_changed_field_breaks_the_signature(change: dict[str, bytes]) -> None:
    with pytest.raises(Untrusted):
        signing.verify(PUBLIC, Domain.NOTE, msgspec.structs.replace(SIGNED, **change), Body)


def test_second_form_of_a_signature_is_refused() -> None:
    r, s = SIGNED.signature[:32], int.from_bytes(SIGNED.signature[32:], "little")
    shifted = r + (s + ORDER).to_bytes(32, "little")
    with pytest.raises(Untrusted):
        signing.verify(PUBLIC, Domain.NOTE, msgspec.structs.replace(SIGNED, signature=shifted), Body)


def test_another_key_does_not_verify() -> None:
    with pytest.raises(Untrusted):
        signing.verify(
            Ed25519PrivateKey.generate().public_key().public_bytes_raw(), Domain.NOTE, SIGNED, Body
        )


@pytest.mark.parametrize("public", [b"", PUBLIC[:-1], PUBLIC + b"\0", b"\xff" * 32, bytes(32)])
def test_what_is_no_key_is_untrusted(public: bytes) -> None:
    with pytest.raises(Untrusted):
        signing.verify(public, Domain.NOTE, SIGNED, Body)


@pytest.mark.parametrize("length", [0, 15, 17, 70_000])
def test_signer_that_is_no_id_is_untrusted(length: int) -> None:
    signed = Signed(bytes(length), SIGNED.body, SIGNED.signature)
    with pytest.raises(Untrusted):
        signing.verify(PUBLIC, Domain.NOTE, signed, Body)


def test_body_is_not_decoded_before_its_signature_holds() -> None:
    with pytest.raises(Untrusted):
        signing.verify(PUBLIC, Domain.NOTE, Signed(SIGNER, b"not even MessagePack", bytes(64)), Body)


def test_well_signed_body_of_another_type_is_malformed() -> None:
    with pytest.raises(Malformed):
        signing.verify(PUBLIC, Domain.NOTE, SIGNED, OtherBody)


@given(damaged(canonical.encode(SIGNED)) | st.binary(max_size=200))
def test_altered_message_is_refused(data: bytes) -> None:
    with pytest.raises(CryptoError):
        signing.verify(PUBLIC, Domain.NOTE, canonical.decode(Signed, data), Body)


def forgery(public: bytes) -> Signed | None:
    """A signature under a small-order key, made without any private key: found by trying a few nonces."""
    for n in range(64):
        seed = hashlib.sha256(bytes([n])).digest()
        scalar = bytearray(hashlib.sha512(seed).digest()[:32])
        scalar[0] &= 248
        scalar[31] = scalar[31] & 127 | 64
        s = int.from_bytes(scalar, "little") % ORDER
        r = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        signed = Signed(SIGNER, canonical.encode(BODY), r + s.to_bytes(32, "little"))
        message = signing._message(Domain.NOTE, SIGNER, signed.body)
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(signed.signature, message)
        except InvalidSignature:
            continue
        return signed
    return None


@pytest.mark.parametrize("public", SMALL_ORDER_KEYS, ids=bytes.hex)
def test_key_under_which_anybody_can_sign_is_untrusted(public: bytes) -> None:
    forged = forgery(public)
    if int.from_bytes(public, "little") % 2**255 < P and public[31] != 0x80:
        assert forged is not None, "the primitive refuses it by now: the check in signing.py can go"
    with pytest.raises(Untrusted):
        signing.verify(public, Domain.NOTE, forged or SIGNED, Body)
