"""`local-kms://NAME`: one CMK of the local keystore as a KMS provider.

A wrapped key is: version byte 1, nonce (12), ciphertext (32), tag (16), AES-256-GCM under the CMK. Its AAD is
the canonical encoding of domain, key id, material id and the encryption context sorted by name, so that it
opens under no other key and for no other vault, epoch or purpose. Nonces are random: NIST SP 800-38D allows
2**32 wraps for one CMK.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from crypto import canonical
from crypto.kms.errors import IncorrectKey, InvalidCiphertext, KeyExists, KeyNotFound
from crypto.kms.keystore import Keystore, require_name
from crypto.kms.keystore_file import Cmk
from crypto.kms.lock import NONCE_BYTES, TAG_BYTES
from crypto.kms.provider import (
    DATA_KEY_BYTES,
    MAX_CONTEXT_CHARS,
    MAX_CONTEXT_PAIRS,
    DataKey,
    EncryptionContext,
    KeyDescription,
    KeyState,
    Note,
    WrappedKey,
    no_note,
)
from crypto.secret import SecretKey

WRAP_VERSION = b"\x01"
BLOB_BYTES = len(WRAP_VERSION) + NONCE_BYTES + DATA_KEY_BYTES + TAG_BYTES
_DOMAIN = "strongroom/local-kms/wrap/v1"


class _WrapBinding(msgspec.Struct, frozen=True, array_like=True):
    """What a wrapped key is bound to (AAD)."""

    domain: str
    key_id: str
    material_id: str
    context: tuple[tuple[str, str], ...]


class LocalKms:
    """One CMK of a keystore; implements `KmsProvider`. It keeps no log of its own, so it notes no request ids.

    Args:
        keystore: holds the CMK; it is read again at every call.
        name: the CMK's name.

    Raises:
        KeyNotFound: `name` cannot be the name of a CMK.
    """

    def __init__(self, keystore: Keystore, name: str) -> None:
        require_name(name)
        self._keystore = keystore
        self._name = name

    def generate(self, context: EncryptionContext, note: Note = no_note) -> DataKey:
        """See `KmsProvider.generate`."""
        cmk = self._usable()
        plaintext = SecretKey.generate()
        return DataKey(plaintext, self._wrap(cmk, plaintext, context))

    def decrypt(self, wrapped: WrappedKey, context: EncryptionContext, note: Note = no_note) -> SecretKey:
        """See `KmsProvider.decrypt`.

        Raises:
            IncorrectKey: another CMK wrapped it.
            KmsError: see there.
        """
        cmk = self._usable()
        if wrapped.key_id != cmk.key_id:
            raise IncorrectKey("the wrapped key was made by another CMK")
        return self._unwrap(cmk, wrapped, context)

    def reencrypt(
        self,
        wrapped: WrappedKey,
        source: EncryptionContext,
        target: EncryptionContext,
        note: Note = no_note,
    ) -> WrappedKey:
        """See `KmsProvider.reencrypt`."""
        cmk = self._usable()
        old = self._keystore.find_id(wrapped.key_id)
        old.require_usable()
        plaintext = self._unwrap(old, wrapped, source)
        try:
            return self._wrap(cmk, plaintext, target)
        finally:
            plaintext.wipe()

    def describe(self, note: Note = no_note) -> KeyDescription:
        """See `KmsProvider.describe`."""
        cmk = self._keystore.find(self._name)
        return KeyDescription(cmk.key_id, cmk.state, cmk.material_id, cmk.created_ms, cmk.deletion_ms)

    def create_missing(self, note: Note = no_note) -> None:
        """See `KmsProvider.create_missing`; makes the keystore too, if there is none.

        Raises:
            KeyNotFound: a CMK of that name was destroyed; only its owner may use the name again.
        """
        if not self._keystore.exists:
            _or_already_there(self._keystore.initialise)
        try:
            cmk = self._keystore.find(self._name)
        except KeyNotFound:
            _or_already_there(lambda: self._keystore.create(self._name))
            return
        if cmk.state is KeyState.DESTROYED:
            cmk.require_usable()

    def _usable(self) -> Cmk:
        cmk = self._keystore.find(self._name)
        cmk.require_usable()
        return cmk

    def _wrap(self, cmk: Cmk, plaintext: SecretKey, context: EncryptionContext) -> WrappedKey:
        aad = _binding(cmk.key_id, cmk.material_id, context)
        nonce = os.urandom(NONCE_BYTES)
        key = self._keystore.open(cmk)
        try:
            sealed = AESGCM(key.view()).encrypt(nonce, plaintext.view(), aad)
        finally:
            key.wipe()
        return WrappedKey(WRAP_VERSION + nonce + sealed, cmk.key_id, cmk.material_id)

    def _unwrap(self, cmk: Cmk, wrapped: WrappedKey, context: EncryptionContext) -> SecretKey:
        aad = _binding(cmk.key_id, wrapped.material_id, context)
        if len(wrapped.blob) != BLOB_BYTES or wrapped.blob[:1] != WRAP_VERSION:
            raise InvalidCiphertext("the wrapped key is not one of the local KMS")
        nonce, sealed = wrapped.blob[1 : 1 + NONCE_BYTES], wrapped.blob[1 + NONCE_BYTES :]
        plaintext = bytearray(DATA_KEY_BYTES)
        key = self._keystore.open(cmk)
        try:
            AESGCM(key.view()).decrypt_into(nonce, sealed, aad, plaintext)
            return SecretKey(plaintext)
        except InvalidTag as error:
            raise InvalidCiphertext("the wrapped key, or the context it is bound to, was altered") from error
        finally:
            key.wipe()
            plaintext[:] = bytes(DATA_KEY_BYTES)


def _binding(key_id: str, material_id: str, context: EncryptionContext) -> bytes:
    """The AAD of a wrapped key.

    Raises:
        InvalidCiphertext: the context is larger than any KMS takes.
    """
    if len(context) > MAX_CONTEXT_PAIRS or any(
        len(k) + len(v) > MAX_CONTEXT_CHARS for k, v in context.items()
    ):
        raise InvalidCiphertext("the encryption context is too large")
    return canonical.encode(_WrapBinding(_DOMAIN, key_id, material_id, tuple(sorted(context.items()))))


def _or_already_there(make: Callable[[], object]) -> None:
    """Make something that another key-broker may be making at this moment."""
    try:
        make()
    except KeyExists:
        return
