"""The local keystore: CMKs on this machine's disk, for those who have no KMS service.

One JSON file, rewritten atomically under a lock file and read again at every use, so that what the console
does (a disable, say) acts at the broker's very next call. Who can write the file can switch keys on and off,
as whoever holds a KMS console can; opening a CMK needs the keystore key as well (crypto.kms.lock).
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from crypto import canonical
from crypto.kms.errors import KeyExists, KeyNotFound, KeystoreDamaged, KmsUnavailable
from crypto.kms.keystore_file import (
    KEY_FILE_NAME,
    KEYSTORE_NAME,
    VERSION,
    Cmk,
    KeystoreFile,
    deletion_due,
    destroy_due,
    find,
    locked,
    read_keystore,
    write_keystore,
)
from crypto.kms.lock import NONCE_BYTES, TAG_BYTES, Lock, Passphrase, make_lock, open_lock
from crypto.kms.provider import KeyState
from crypto.secret import KEY_BYTES, SecretKey

MAX_KEYS = 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DOMAIN = "strongroom/local-kms/cmk/v1"

ClockMs = Callable[[], int]


def wall_clock_ms() -> int:
    """Now, ms since epoch."""
    return time.time_ns() // 1_000_000


class _CmkBinding(msgspec.Struct, frozen=True, array_like=True):
    """What a sealed CMK is bound to (AAD)."""

    domain: str
    name: str
    key_id: str
    material_id: str


class Keystore:
    """The keystore in one folder. Safe for several threads and several processes.

    Args:
        folder: where its three files are.
        passphrase: gives the passphrase of a keystore that has one.
        clock_ms: ms since epoch; decides when a scheduled deletion is due.
    """

    def __init__(
        self, folder: Path, passphrase: Passphrase | None = None, clock_ms: ClockMs = wall_clock_ms
    ) -> None:
        self._folder = folder
        self._passphrase = passphrase
        self._clock_ms = clock_ms
        self._guard = threading.Lock()
        self._unlocked: tuple[Lock, SecretKey] | None = None

    @property
    def exists(self) -> bool:
        """Whether a keystore was made in this folder."""
        return (self._folder / KEYSTORE_NAME).exists()

    def initialise(self) -> None:
        """Make an empty keystore: under the passphrase if one was given, else under a new key file.

        Raises:
            KeyExists: there is one already.
            AccessDenied, KmsUnavailable: the folder cannot be written.
        """
        with locked(self._folder):
            if self.exists:
                raise KeyExists(
                    "there is a keystore in this folder already", remedy="use it, or choose another folder"
                )
            lock, key = make_lock(self._folder / KEY_FILE_NAME, self._passphrase)
            self._remember(lock, key)
            write_keystore(self._folder, KeystoreFile(VERSION, lock, ()))

    def keys(self) -> tuple[Cmk, ...]:
        """Every CMK, destroyed ones included, in order of creation."""
        return self._current().keys

    def find(self, name: str) -> Cmk:
        """The CMK of that name; a destroyed one only when no living one has the name.

        Raises:
            KeyNotFound: there is none.
            KeystoreDamaged, AccessDenied, KmsUnavailable: the keystore cannot be read.
        """
        return find(self._current(), name)

    def find_id(self, key_id: str) -> Cmk:
        """The CMK of that id.

        Raises:
            KeyNotFound: there is none.
        """
        for key in self._current().keys:
            if key.key_id == key_id:
                return key
        raise KeyNotFound("no CMK in the local KMS has the id that the wrapped key names")

    def open(self, cmk: Cmk) -> SecretKey:
        """The CMK itself, whatever its state; the caller wipes it.

        Raises:
            WrongPassphrase: the keystore's lock does not open.
            KeystoreDamaged: the entry was altered.
        """
        material = bytearray(KEY_BYTES)
        if len(cmk.sealed) != NONCE_BYTES + KEY_BYTES + TAG_BYTES:
            raise KeystoreDamaged("a CMK in the local keystore has the wrong length")
        try:
            AESGCM(self._key().view()).decrypt_into(
                cmk.sealed[:NONCE_BYTES],
                cmk.sealed[NONCE_BYTES:],
                _binding(cmk.name, cmk.key_id, cmk.material_id),
                material,
            )
            return SecretKey(material)
        except InvalidTag as error:
            raise KeystoreDamaged("a CMK in the local keystore was altered") from error
        finally:
            material[:] = bytes(KEY_BYTES)

    def create(self, name: str) -> Cmk:
        """Make a new CMK, enabled.

        Raises:
            KeyExists: the name is taken.
            KeyNotFound: `name` cannot be the name of a CMK.
            WrongPassphrase: the keystore's lock does not open.
        """
        require_name(name)
        key_id, material_id = f"local-kms:{os.urandom(16).hex()}", os.urandom(16).hex()
        nonce = os.urandom(NONCE_BYTES)
        material = SecretKey.generate()
        keystore_key = self._key()
        sealed = nonce + AESGCM(keystore_key.view()).encrypt(
            nonce, material.view(), _binding(name, key_id, material_id)
        )
        material.wipe()
        cmk = Cmk(name, key_id, material_id, KeyState.ENABLED, self._clock_ms(), 0, sealed)

        def add(file: KeystoreFile) -> KeystoreFile:
            if any(key.name == name and key.state is not KeyState.DESTROYED for key in file.keys):
                raise KeyExists("the local KMS has a CMK of that name")
            if len(file.keys) >= MAX_KEYS:
                raise KmsUnavailable(f"the local keystore holds {MAX_KEYS} keys and takes no more")
            return msgspec.structs.replace(file, keys=(*file.keys, cmk))

        self._change(add)
        return cmk

    def disable(self, name: str) -> Cmk:
        """The off switch: from the next call on, the CMK neither wraps nor unwraps. Needs no passphrase."""
        return self._set(name, KeyState.DISABLED, (KeyState.ENABLED, KeyState.DISABLED))

    def enable(self, name: str) -> Cmk:
        """Switch a disabled CMK on again."""
        return self._set(name, KeyState.ENABLED, (KeyState.ENABLED, KeyState.DISABLED))

    def schedule_deletion(self, name: str, deletion_ms: int) -> Cmk:
        """Switch a CMK off and have it destroyed at `deletion_ms` (ms since epoch)."""
        return self._set(name, KeyState.PENDING_DELETION, tuple(KeyState), deletion_ms)

    def cancel_deletion(self, name: str) -> Cmk:
        """Keep a CMK that was scheduled for deletion; it stays disabled until it is enabled."""
        return self._set(name, KeyState.DISABLED, (KeyState.PENDING_DELETION,))

    def _set(self, name: str, state: KeyState, allowed: tuple[KeyState, ...], deletion_ms: int = 0) -> Cmk:
        """Change one CMK's state.

        Raises:
            KeyNotFound: there is no such CMK, or it was destroyed.
            KeyPendingDeletion: its deletion must be cancelled first.
            KeyExists: it is not scheduled for deletion, so there is nothing to cancel.
        """

        def change(file: KeystoreFile) -> KeystoreFile:
            old = find(file, name)
            if old.state is KeyState.DESTROYED or (
                old.state is KeyState.PENDING_DELETION and old.state not in allowed
            ):
                old.require_usable()
            if old.state not in allowed:
                raise KeyExists("the CMK is not scheduled for deletion", remedy="there is nothing to cancel")
            new = msgspec.structs.replace(old, state=state, deletion_ms=deletion_ms)
            return msgspec.structs.replace(file, keys=tuple(new if key is old else key for key in file.keys))

        return find(self._change(change), name)

    def _current(self) -> KeystoreFile:
        file = read_keystore(self._folder)
        # A deletion that came due while nobody used the console is carried out by the first who looks.
        return self._change(lambda same: same) if deletion_due(file, self._clock_ms()) else file

    def _change(self, change: Callable[[KeystoreFile], KeystoreFile]) -> KeystoreFile:
        with locked(self._folder):
            file = change(destroy_due(read_keystore(self._folder), self._clock_ms()))
            write_keystore(self._folder, file)
            return file

    def _key(self) -> SecretKey:
        lock = read_keystore(self._folder).lock
        with self._guard:
            if self._unlocked is not None and self._unlocked[0] == lock:
                return self._unlocked[1]
            key = open_lock(lock, self._folder / KEY_FILE_NAME, self._passphrase)
            self._unlocked = (lock, key)
            return key

    def _remember(self, lock: Lock, key: SecretKey) -> None:
        with self._guard:
            self._unlocked = (lock, key)


def require_name(name: str) -> None:
    """Refuse what cannot be the name of a CMK: 1 to 64 of letters, digits, dot, dash, underscore.

    Raises:
        KeyNotFound: naming the rule.
    """
    if _NAME.fullmatch(name) is None:
        raise KeyNotFound(
            "this cannot be the name of a local CMK",
            remedy="use 1 to 64 letters, digits, dots, dashes and underscores; the first a letter or digit",
        )


def _binding(name: str, key_id: str, material_id: str) -> bytes:
    return canonical.encode(_CmkBinding(_DOMAIN, name, key_id, material_id))
