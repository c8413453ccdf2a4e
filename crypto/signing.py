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


class Domain(StrEnum):
    """What a signature or a seal is for; the same bytes mean nothing in another domain."""

    CERTIFICATE = "strongroom/certificate/v1"
    TICKET = "strongroom/ticket/v1"
    JOB_REQUEST = "strongroom/job-request/v1"
    KEY_REQUEST = "strongroom/key-request/v1"
    KEY_REPLY = "strongroom/key-reply/v1"
    REPORT = "strongroom/report/v1"
    NOTE = "strongroom/note/v1"
    VERDICT = "strongroom/verdict/v1"
    PARCEL = "strongroom/parcel/v1"
    SPEC = "strongroom/spec/v1"


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
    try:
        key = Ed25519PublicKey.from_public_bytes(public)
        key.verify(signed.signature, _message(domain, signed.signer, signed.body))
    except (InvalidSignature, ValueError) as error:
        raise Untrusted(f"a signature does not hold ({domain})") from error
    return canonical.decode(kind, signed.body)
