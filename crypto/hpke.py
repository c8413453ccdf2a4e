"""HPKE (RFC 9180) to a hybrid key: ML-KEM-768 with X25519, HKDF-SHA256, AES-256-GCM, base mode, single shot.

A backup is what a harvester stores today to decrypt later, hence the hybrid KEM. Base mode does not say who sealed a
message: every use here is signed as well.
"""

from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from crypto.errors import Malformed, SealBroken
from crypto.signing import Domain

_SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
_MLKEM_PUBLIC = 1184
_MLKEM_SEED = 64
PUBLIC_BYTES = _MLKEM_PUBLIC + 32
PRIVATE_BYTES = _MLKEM_SEED + 32


def info(domain: Domain, *bound: bytes) -> bytes:
    """The HPKE info string: a domain, and length-prefixed values that the message is bound to."""
    name = domain.encode()
    return b"".join(len(part).to_bytes(4, "big") + part for part in (name, *bound))


def seal_to(public: bytes, bound_to: bytes, plain: bytes | bytearray | memoryview) -> bytes:
    """Seal a short message so that only the holder of the private key opens it.

    Args:
        public: a public key as `HpkeKey.public` gives it, 1,216 bytes.
        bound_to: from `info`.

    Raises:
        Malformed: `public` is not such a key.
    """
    if len(public) != PUBLIC_BYTES:
        raise Malformed("not a hybrid public key")
    try:
        key = hpke.MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(public[:_MLKEM_PUBLIC]),
            X25519PublicKey.from_public_bytes(public[_MLKEM_PUBLIC:]),
        )
        return _SUITE.encrypt(plain, key, bound_to)
    except ValueError as error:
        raise Malformed("not a hybrid public key") from error


class HpkeKey:
    """A private key that opens what was sealed to its public half. Not printed, not pickled."""

    __slots__ = ("_key", "_mlkem", "_x25519", "public")

    def __init__(self, mlkem: MLKEM768PrivateKey, x25519: X25519PrivateKey) -> None:
        self._mlkem, self._x25519 = mlkem, x25519
        self._key = hpke.MLKEM768X25519PrivateKey(mlkem, x25519)
        self.public: bytes = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> Self:
        """A fresh key pair; make it after the fork in which it is used."""
        return cls(MLKEM768PrivateKey.generate(), X25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """The key that `seed()` gave, 96 bytes.

        Raises:
            Malformed: wrong length.
        """
        if len(seed) != PRIVATE_BYTES:
            raise Malformed("not a hybrid private key")
        return cls(
            MLKEM768PrivateKey.from_seed_bytes(seed[:_MLKEM_SEED]),
            X25519PrivateKey.from_private_bytes(seed[_MLKEM_SEED:]),
        )

    def seed(self) -> bytes:
        """The private key for an owner-only identity file, 96 bytes."""
        return self._mlkem.private_bytes_raw() + self._x25519.private_bytes_raw()

    def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        """Open a message.

        Raises:
            SealBroken: altered, or sealed to another key or for another purpose.
        """
        try:
            return _SUITE.decrypt(sealed, self._key, bound_to)
        except (InvalidTag, ValueError) as error:
            raise SealBroken("a message sealed to this key does not open") from error

    def __repr__(self) -> str:
        return "<HpkeKey>"

    def __reduce_ex__(self, protocol: object) -> str:
        """Refused: no private key leaves by accident, in a message or a log."""
        raise TypeError("a private key is not pickled or copied")
