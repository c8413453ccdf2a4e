"""How the local keystore is locked: a key file beside it, or a passphrase.

The lock gives one 32-byte keystore key, under which every CMK of the keystore is sealed. Both ways are marked
by a check value, so that a wrong passphrase is told from a damaged keystore.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from crypto.kms.errors import AccessDenied, KeystoreDamaged, KmsUnavailable, WrongPassphrase
from crypto.secret import KEY_BYTES, SecretKey

Passphrase = Callable[[], bytes]
"""Gives the passphrase when it is needed, so that nobody has to keep it."""

PASSPHRASE_VARIABLE = "STRONGROOM_KMS_PASSPHRASE"  # noqa: S105  (a name, not a passphrase)

NONCE_BYTES = 12
TAG_BYTES = 16
SALT_BYTES = 16
MAX_PASSPHRASE_BYTES = 1024

ARGON2_ITERATIONS = 3
ARGON2_LANES = 4
ARGON2_MEMORY_KIB = 64 * 1024
"""RFC 9106, section 4, second recommended option: 3 passes, 4 lanes, 64 MiB (about 0.2 s)."""

MAX_ARGON2_ITERATIONS = 32
MAX_ARGON2_LANES = 16
MAX_ARGON2_MEMORY_KIB = 1024 * 1024
"""What a keystore file may ask for at most, so that an altered one cannot stop the broker."""

KEY_FILE = "key-file"
PASSPHRASE = "passphrase"  # noqa: S105  (a kind, not a passphrase)
_CHECK_DOMAIN = b"strongroom/local-kms/check/v1"


class Lock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The public part of a keystore's lock, stored in its file.

    Attributes:
        kind: KEY_FILE or PASSPHRASE.
        salt: SALT_BYTES for Argon2id; random too (and unused) with a key file.
        iterations, lanes, memory_kib: Argon2id's costs; 0 with a key file.
        check: nonce and GCM tag of nothing under the keystore key.
    """

    kind: str
    salt: bytes
    iterations: int
    lanes: int
    memory_kib: int
    check: bytes


def make_lock(key_path: Path, passphrase: Passphrase | None) -> tuple[Lock, SecretKey]:
    """A new lock and its keystore key; without a passphrase the key is written to `key_path` (0600).

    Call it inside the keystore's lock file. A key file that is there already is used as it is: somebody was
    killed between writing it and writing the keystore, and a key that opens an older keystore must never be
    overwritten.

    Raises:
        AccessDenied, KmsUnavailable: the key file cannot be written or read.
        WrongPassphrase: what is there is no key file, or the passphrase is empty or too long.
    """
    salt = os.urandom(SALT_BYTES)
    if passphrase is None:
        key = _new_or_left_key(key_path)
        return Lock(KEY_FILE, salt, 0, 0, 0, _make_check(key)), key
    costs = (ARGON2_ITERATIONS, ARGON2_LANES, ARGON2_MEMORY_KIB)
    key = _derive(passphrase(), salt, *costs)
    return Lock(PASSPHRASE, salt, *costs, _make_check(key)), key


def open_lock(lock: Lock, key_path: Path, passphrase: Passphrase | None) -> SecretKey:
    """The keystore key.

    Raises:
        WrongPassphrase: none was given where one is needed, or it (or the key file) is the wrong one.
        KeystoreDamaged: the lock's numbers are out of range.
        AccessDenied, KmsUnavailable: the key file cannot be read, or others may read it.
    """
    if lock.kind == KEY_FILE:
        key = _read_key_file(key_path)
    elif lock.kind == PASSPHRASE:
        if passphrase is None:
            raise WrongPassphrase(
                "the local keystore is locked with a passphrase and none was given",
                remedy="set STRONGROOM_KMS_PASSPHRASE, or passphrase_file in section [kms] of config.toml",
            )
        _require_costs(lock)
        key = _derive(passphrase(), lock.salt, lock.iterations, lock.lanes, lock.memory_kib)
    else:
        raise KeystoreDamaged("the local keystore has a lock of an unknown kind")
    _require_check(key, lock)
    return key


def require_private(path: Path) -> None:
    """Refuse a secret file that anybody but its owner may touch.

    Raises:
        AccessDenied: the mode is wider than 0600.
        OSError: the file cannot be looked at.
    """
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise AccessDenied(
            f"{path.name} may be read by others", remedy=f"chmod 600 {path.name} in the keystore's folder"
        )


def _new_or_left_key(path: Path) -> SecretKey:
    if path.exists():
        return _read_key_file(path)
    key = SecretKey.generate()
    _write_key_file(path, key)
    return key


def _derive(passphrase: bytes, salt: bytes, iterations: int, lanes: int, memory_kib: int) -> SecretKey:
    if not 0 < len(passphrase) <= MAX_PASSPHRASE_BYTES:
        raise WrongPassphrase(f"a passphrase has 1 to {MAX_PASSPHRASE_BYTES} bytes")
    kdf = Argon2id(salt=salt, length=KEY_BYTES, iterations=iterations, lanes=lanes, memory_cost=memory_kib)
    return SecretKey(kdf.derive(passphrase))


def _require_costs(lock: Lock) -> None:
    sane = (
        1 <= lock.iterations <= MAX_ARGON2_ITERATIONS
        and 1 <= lock.lanes <= MAX_ARGON2_LANES
        and 8 * lock.lanes <= lock.memory_kib <= MAX_ARGON2_MEMORY_KIB
        and len(lock.salt) == SALT_BYTES
    )
    if not sane:
        raise KeystoreDamaged("the local keystore asks for passphrase costs out of range")


def _make_check(key: SecretKey) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key.view()).encrypt(nonce, b"", _CHECK_DOMAIN)


def _require_check(key: SecretKey, lock: Lock) -> None:
    if len(lock.check) != NONCE_BYTES + TAG_BYTES:
        raise KeystoreDamaged("the local keystore's check value has the wrong length")
    try:
        AESGCM(key.view()).decrypt(lock.check[:NONCE_BYTES], lock.check[NONCE_BYTES:], _CHECK_DOMAIN)
    except InvalidTag as error:
        key.wipe()
        what = "passphrase" if lock.kind == PASSPHRASE else "key file"
        raise WrongPassphrase(f"the {what} does not open the local keystore") from error


def _write_key_file(path: Path, key: SecretKey) -> None:
    temporary = path.with_name(f".{path.name}.new")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(key.view())
            file.flush()
            os.fsync(fd)
        os.rename(temporary, path)
    except PermissionError as error:
        raise AccessDenied(f"no permission to write {path.name}") from error
    except OSError as error:
        raise KmsUnavailable(f"cannot write {path.name}: {error.strerror}") from error


def _read_key_file(path: Path) -> SecretKey:
    try:
        require_private(path)
        with path.open("rb") as file:
            material = bytearray(file.read(KEY_BYTES + 1))
    except FileNotFoundError as error:
        raise WrongPassphrase(
            f"the keystore's {path.name} is missing", remedy="put the key file back"
        ) from error
    except PermissionError as error:
        raise AccessDenied(f"{path.name} may not be read: {error.strerror}") from error
    except OSError as error:
        raise KmsUnavailable(f"cannot read {path.name}: {error.strerror}") from error
    try:
        if len(material) != KEY_BYTES:
            raise WrongPassphrase(f"{path.name} is not a key file of {KEY_BYTES} bytes")
        return SecretKey(material)
    finally:
        material[:] = bytes(len(material))
