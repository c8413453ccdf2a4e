"""What a worker asks the key-broker for, and what it is answered.

The request is signed by the worker process and carries its ticket; the answer is sealed to that process's one-time
key, bound to the request, and signed by the broker, because HPKE base mode does not say who sealed.
"""

import hashlib

import msgspec

from crypto import canonical, hpke, signing
from crypto.certificate import ProcessSigned
from crypto.errors import CryptoError, KeyRefused, Malformed, Untrusted
from crypto.hpke import HpkeKey
from crypto.registry import KEY_BROKER, Registry
from crypto.secret import SecretKey
from crypto.signing import Domain, Signed

REQUEST_VERSION = 1
FRESH_MS = 60 * 1000
"""A request older or newer than this is refused."""
MAX_WANTS = 64
MAX_EPOCH = 0xFFFF_FFFF

REFUSALS = (
    "kms-key-disabled",
    "kms-key-pending-deletion",
    "kms-key-not-found",
    "kms-access-denied",
    "kms-invalid-ciphertext",
    "kms-key-unusable",
    "kms-wrong-passphrase",
    "kms-throttled",
    "kms-unavailable",
    "rate-limited",
    "not-trusted",
    "expired",
    "out-of-scope",
    "stale-fence",
    "replayed",
    "over-budget",
    "malformed",
)
"""Every code that a refusal can have."""


class Want(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One key: to be generated (no record), or to be unwrapped from its record."""

    operation: str
    """`generate`, `init`, `encrypt` or `decrypt`; the ticket must allow it."""
    purpose: str
    epoch: int
    record: bytes
    """The canonical `KeyRecord`; empty for `generate` and `init`."""


class KeyRequest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Signed by the process (`ProcessSigned`, domain KEY_REQUEST)."""

    version: int
    ticket: Signed
    wants: tuple[Want, ...]
    nonce: bytes
    sent_ms: int
    reply_to: str


class Given(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One key, sealed to the process that asked."""

    purpose: str
    epoch: int
    sealed: bytes
    record: bytes
    """For a generated key its new `KeyRecord`, to be stored before the key is used; otherwise empty."""


class Refusal(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Why nothing was given."""

    code: str
    message: str
    remedy: str
    retryable: bool


class KeyReply(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Signed by the broker's identity (domain KEY_REPLY)."""

    request: bytes
    """SHA-256 of the encoded request that this answers."""
    given: tuple[Given, ...]
    refusal: Refusal | None
    kms_calls: int
    """How many calls to the KMS this request caused; 0 where it shared another's."""


def request_digest(request: ProcessSigned) -> bytes:
    """What ties an answer to its request: SHA-256 of its encoding."""
    return hashlib.sha256(canonical.encode(request)).digest()


def _bound(request: bytes, broker: bytes, purpose: str, epoch: int) -> bytes:
    if not 0 <= epoch <= MAX_EPOCH:
        raise Malformed("there is no such epoch")
    return hpke.info(Domain.KEY_REPLY, request, broker, purpose.encode(), epoch.to_bytes(4, "big"))


def seal_key(key: SecretKey, to: bytes, request: bytes, broker: bytes, purpose: str, epoch: int) -> bytes:
    """Seal a key to the process key `to`, bound to the request's digest and the broker's id.

    Raises:
        Malformed: `to` is not a key, or there is no such epoch.
        KeyWiped: the key's time was over before it was sealed.
    """
    sealed = hpke.seal_to(to, _bound(request, broker, purpose, epoch), key.view())
    key.require_intact()  # or a worker would be given zeros for a key
    return sealed


def open_reply(
    registry: Registry, reply: Signed, request: bytes, opening: HpkeKey
) -> tuple[KeyReply, list[SecretKey]]:
    """Check an answer and open its keys, in the order of `KeyReply.given`.

    Args:
        request: digest of the request that was sent.
        opening: the process's own HPKE key.

    Raises:
        Untrusted: not from an enrolled key-broker, or the answer to another request.
        KeyRefused: the broker said no.
        SealBroken: a key does not open.
        Malformed: not an answer, or what opens is not a key.
    """
    broker = registry.identity(reply.signer)
    broker.require(KEY_BROKER)
    body = signing.verify(broker.sign_public, Domain.KEY_REPLY, reply, KeyReply)
    if body.request != request:
        raise Untrusted("the key-broker's answer belongs to another request")
    if body.refusal is not None:
        why = body.refusal
        raise KeyRefused(why.code, why.message, remedy=why.remedy, retryable=why.retryable)
    keys: list[SecretKey] = []
    try:
        for given in body.given:
            bound = _bound(request, broker.id, given.purpose, given.epoch)
            keys.append(SecretKey(opening.open(given.sealed, bound)))
    except CryptoError:
        for key in keys:
            key.wipe()
        raise
    return body, keys
