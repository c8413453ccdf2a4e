"""Process certificates: keys that live as long as one process, vouched for by its host's identity.

A worker process makes its keys after the fork and has them certified for at most an hour. What it signs carries the
certificate, and whoever reads it follows: enrolled identity, certificate, process key, message.
"""

from typing import TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from crypto import signing
from crypto.errors import Expired, Untrusted
from crypto.hpke import HpkeKey
from crypto.identity import Identity
from crypto.registry import Registry
from crypto.signing import Domain, Signed

LIFETIME_MS = 60 * 60 * 1000
RENEW_MS = 45 * 60 * 1000
SKEW_MS = 60 * 1000
"""How far two hosts' clocks may differ."""

T = TypeVar("T")


class Certificate(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Says that these public keys speak for an identity in one role, for a while."""

    role: str
    sign_public: bytes
    hpke_public: bytes
    not_before_ms: int
    not_after_ms: int


class ProcessSigned(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A message signed by a process, with the certificate that says whose process it is."""

    certificate: Signed
    message: Signed


class ProcessKeys:
    """The keys of one process, made after its fork.

    Args:
        identity: of the host and role.
        role: which of its roles this process plays.
        now_ms: the wall clock.
    """

    def __init__(self, identity: Identity, role: str, now_ms: int) -> None:
        self._signing = Ed25519PrivateKey.generate()
        self.opening = HpkeKey.generate()
        self.identity_id = identity.id
        self.not_after_ms = now_ms + LIFETIME_MS
        self.certificate = identity.sign(
            Domain.CERTIFICATE,
            Certificate(
                role,
                self._signing.public_key().public_bytes_raw(),
                self.opening.public,
                now_ms - SKEW_MS,
                self.not_after_ms,
            ),
        )

    def due(self, now_ms: int) -> bool:
        """Whether it is time to make new keys: they are old, or from a future that the clock was set back from."""
        made_ms = self.not_after_ms - LIFETIME_MS
        return not made_ms - SKEW_MS <= now_ms <= made_ms + RENEW_MS

    def sign(self, domain: Domain, body: msgspec.Struct) -> ProcessSigned:
        """Sign a struct in the name of this process."""
        return ProcessSigned(self.certificate, signing.sign(self._signing, self.identity_id, domain, body))

    def __repr__(self) -> str:
        return f"<ProcessKeys of {self.identity_id.hex()}>"

    def __reduce_ex__(self, protocol: object) -> str:
        """Refused: a copy would outlive this process."""
        raise TypeError("process keys are not pickled or copied")


def verify_certificate(
    registry: Registry, signed: Signed, roles: tuple[str, ...], now_ms: int
) -> Certificate:
    """Follow a certificate to an identity that is enrolled for the role it claims, which must be one of `roles`.

    Raises:
        Untrusted: unknown identity, wrong role, or a signature that does not hold.
        Expired: outside its time, or valid for longer than an hour.
        Malformed: not a certificate.
    """
    enrolled = registry.identity(signed.signer)
    certificate = signing.verify(enrolled.sign_public, Domain.CERTIFICATE, signed, Certificate)
    if certificate.role not in roles:
        raise Untrusted(f"the certificate is for the role {certificate.role}, not {' or '.join(roles)}")
    enrolled.require(certificate.role)
    if certificate.not_after_ms - certificate.not_before_ms > LIFETIME_MS + SKEW_MS:
        raise Expired("the certificate is valid for longer than certificates may be")
    if not certificate.not_before_ms <= now_ms <= certificate.not_after_ms:
        raise Expired("the certificate is not valid now", remedy="check the clocks of both hosts")
    return certificate


def verify_process(
    registry: Registry,
    roles: tuple[str, ...],
    domain: Domain,
    signed: ProcessSigned,
    kind: type[T],
    now_ms: int,
) -> tuple[Certificate, T]:
    """Follow a process-signed message all the way, then decode it.

    Raises:
        Untrusted, Expired, Malformed: see `verify_certificate` and `crypto.signing.verify`.
    """
    certificate = verify_certificate(registry, signed.certificate, roles, now_ms)
    if signed.message.signer != signed.certificate.signer:
        raise Untrusted("the message and its certificate name different identities")
    return certificate, signing.verify(certificate.sign_public, domain, signed.message, kind)
