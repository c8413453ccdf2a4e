"""Ed25519 signatures over canonical bytes, each under a domain of its own.

A body is decoded only after its signature holds, so nothing acts on unverified fields. The signer's id stands outside
the body, is covered by the signature, and only selects which enrolled key must verify it.
"""

from enum import StrEnum
from typing import TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from crypto import canonical
from crypto.errors import Untrusted

T = TypeVar("T")

SIGNER_BYTES = 16
_WITHOUT_SIGN = 0x7F
_SMALL_ORDER = frozenset(
    map(
        bytes.fromhex,
        (
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ),
    )
)
"""The points of order 1 to 8 (their y, in every accepted encoding): under such a "key" anybody can sign anything, and
OpenSSL does not refuse them. Source: libsodium, ge25519_has_small_order; checked by its own test here."""


class Domain(StrEnum):
    """What a signature or a seal is for; the same bytes mean nothing in another domain."""

    CERTIFICATE = "strongroom/certificate/v1"
    TICKET = "strongroom/ticket/v1"
    JOB_OVER = "strongroom/job-over/v1"
    JOB_REQUEST = "strongroom/job-request/v1"
    KEY_REQUEST = "strongroom/key-request/v1"
    KEY_REPLY = "strongroom/key-reply/v1"
    REPORT = "strongroom/report/v1"
    NOTE = "strongroom/note/v1"
    VERDICT = "strongroom/verdict/v1"
    PARCEL = "strongroom/parcel/v1"
    SPEC = "strongroom/spec/v1"
    ENROLMENT = "strongroom/enrolment/v1"


class Signed(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Canonical bytes with the id of the identity that signed them."""

    signer: bytes
    body: bytes
    signature: bytes


def _message(domain: Domain, signer: bytes, body: bytes) -> bytes:
    name = domain.encode()
    return b"".join((len(name).to_bytes(2, "big"), name, len(signer).to_bytes(2, "big"), signer, body))


def sign(key: Ed25519PrivateKey, signer: bytes, domain: Domain, body: msgspec.Struct) -> Signed:
    """Sign a struct in a domain, in the name of `signer`."""
    encoded = canonical.encode(body)
    return Signed(signer, encoded, key.sign(_message(domain, signer, encoded)))


def verify(public: bytes, domain: Domain, signed: Signed, kind: type[T]) -> T:
    """Check a signature, then decode what it covers.

    Args:
        public: the signer's enrolled Ed25519 public key, 32 bytes.

    Raises:
        Untrusted: the signature does not hold in this domain.
        Malformed: it holds, but the body is not a canonical `kind`.
    """
    if len(signed.signer) != SIGNER_BYTES or _is_small_order(public):
        raise Untrusted(f"a signature is under no proper identity or key ({domain})")
    try:
        key = Ed25519PublicKey.from_public_bytes(public)
        key.verify(signed.signature, _message(domain, signed.signer, signed.body))
    except (InvalidSignature, ValueError) as error:
        raise Untrusted(f"a signature does not hold ({domain})") from error
    return canonical.decode(kind, signed.body)


def _is_small_order(public: bytes) -> bool:
    return public[:-1] + bytes(each & _WITHOUT_SIGN for each in public[-1:]) in _SMALL_ORDER
