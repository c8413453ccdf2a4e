"""The one interface between Strongroom and any KMS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from crypto.secret import SecretKey

DATA_KEY_BYTES = 32
"""Every data key is 256 bits (Cobblestone-256, DESIGN.md, Keys)."""

MAX_WRAPPED_BYTES = 8192
"""No KMS returns more for a 32-byte key (AWS KMS: at most 6144 bytes)."""

MAX_CONTEXT_PAIRS = 16
MAX_CONTEXT_CHARS = 256

EncryptionContext = Mapping[str, str]
"""What a wrapped key is bound to: opaque ids only, because AWS KMS writes them into CloudTrail."""


Note = Callable[[str], None]
"""Is told the id that the KMS gave to each request made to it, answered or refused: it joins our audit log to the
KMS's own (CloudTrail)."""


def no_note(_: str) -> None:
    """For callers that keep no audit log."""


class KeyState(StrEnum):
    """The life of a CMK; only ENABLED wraps and unwraps."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    PENDING_DELETION = "pending-deletion"
    PENDING_IMPORT = "pending-import"
    """Its imported material expired or was deleted; it can be imported again."""
    UNAVAILABLE = "unavailable"
    """It is being made, or its custom key store is not connected."""
    DESTROYED = "destroyed"


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A data key under a CMK: safe to store beside the data.

    Attributes:
        blob: the ciphertext, at most MAX_WRAPPED_BYTES.
        key_id: the CMK that wrapped it, as the KMS names it.
        material_id: which material of that CMK (it changes when the CMK is rotated); "" when the KMS does not
            say.
    """

    blob: bytes
    key_id: str
    material_id: str


@dataclass(frozen=True, slots=True)
class DataKey:
    """A new data key in both forms. Whoever receives it wipes `plaintext`."""

    plaintext: SecretKey
    wrapped: WrappedKey


@dataclass(frozen=True, slots=True)
class KeyDescription:
    """What a KMS says about a CMK without using it.

    Attributes:
        key_id: as in WrappedKey.
        state: see KeyState.
        material_id: the material that wraps new keys.
        created_ms: ms since epoch.
        deletion_ms: when it will be (or was) destroyed, ms since epoch; 0 for never.
    """

    key_id: str
    state: KeyState
    material_id: str
    created_ms: int
    deletion_ms: int


class KmsProvider(Protocol):
    """One CMK in one KMS. Implementations are safe to call from several threads.

    Every method may raise any subclass of `crypto.kms.errors.KmsError` and nothing else.
    """

    def generate(self, context: EncryptionContext, note: Note = no_note) -> DataKey:
        """Make a new data key of DATA_KEY_BYTES, bound to `context`."""
        ...

    def decrypt(self, wrapped: WrappedKey, context: EncryptionContext, note: Note = no_note) -> SecretKey:
        """Unwrap a key that this CMK wrapped under exactly this `context`.

        Raises:
            IncorrectKey: another CMK wrapped it.
            InvalidCiphertext: the blob or the context differs from what was wrapped.
        """
        ...

    def reencrypt(
        self,
        wrapped: WrappedKey,
        source: EncryptionContext,
        target: EncryptionContext,
        note: Note = no_note,
    ) -> WrappedKey:
        """Wrap under this CMK what any CMK of the same KMS wrapped; the plaintext never leaves the KMS.

        Args:
            wrapped: the old form; its `key_id` names the CMK that opens it.
            source: the context the old form is bound to.
            target: the context to bind the new form to.
        """
        ...

    def describe(self, note: Note = no_note) -> KeyDescription:
        """The CMK's state. Works in every state; of a destroyed key, as far as the KMS still knows it.

        Raises:
            KeyNotFound: the KMS knows no such key any more.
        """
        ...

    def create_missing(self, note: Note = no_note) -> None:
        """Make the CMK if there is none and the KMS leaves that to us; used when a vault is created.

        A cloud KMS does not: there it makes sure that the key is of the right kind and enabled, so that the first
        vault under it is not the place to find out.
        """
        ...
