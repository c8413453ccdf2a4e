"""Identities: an Ed25519 key that signs and a hybrid HPKE key that opens, both long-lived and enrolled.

A process never signs with its host's identity but once an hour: `crypto.certificate` has the short-lived keys.
"""

import os
from typing import Any, Self

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from crypto import canonical
from crypto.errors import Malformed
from crypto.hpke import HpkeKey
from crypto.signing import Domain, Signed, sign

STORED_VERSION = 1
ID_BYTES = 16


class _Stored(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: int
    id: bytes
    name: str
    signing: bytes
    opening: bytes

    def __repr__(self) -> str:
        return "<stored identity>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


class Identity:
    """The private half of an enrolled identity. Not printed, not pickled."""

    __slots__ = ("_signing", "id", "name", "opening")

    def __init__(self, identity_id: bytes, name: str, signing: Ed25519PrivateKey, opening: HpkeKey) -> None:
        self.id = identity_id
        self.name = name
        self.opening = opening
        self._signing = signing

    @classmethod
    def generate(cls, name: str) -> Self:
        """A new identity with a random 16-byte id."""
        return cls(os.urandom(16), name, Ed25519PrivateKey.generate(), HpkeKey.generate())

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read what `encode` wrote.

        Raises:
            Malformed: not an identity file, or of a version that is not known here.
        """
        stored = canonical.decode(_Stored, data)
        if stored.version != STORED_VERSION:
            raise Malformed(
                f"identity file version {stored.version} is not known here", remedy="use a newer release"
            )
        if len(stored.id) != ID_BYTES:
            raise Malformed("an identity's id has not 16 bytes")
        try:
            signing = Ed25519PrivateKey.from_private_bytes(stored.signing)
        except ValueError as error:
            raise Malformed("not a signing key") from error
        return cls(stored.id, stored.name, signing, HpkeKey.from_seed(stored.opening))

    def encode(self) -> bytes:
        """The private keys, for an owner-only file and nothing else."""
        return canonical.encode(
            _Stored(
                STORED_VERSION, self.id, self.name, self._signing.private_bytes_raw(), self.opening.seed()
            )
        )

    @property
    def sign_public(self) -> bytes:
        """The Ed25519 public key, 32 bytes."""
        return self._signing.public_key().public_bytes_raw()

    def sign(self, domain: Domain, body: msgspec.Struct) -> Signed:
        """Sign a struct in this identity's name."""
        return sign(self._signing, self.id, domain, body)

    def __repr__(self) -> str:
        return f"<Identity {self.name}>"

    def __reduce_ex__(self, protocol: object) -> str:
        """Refused: no private key leaves by accident, in a message or a log."""
        raise TypeError("an identity is not pickled or copied")
