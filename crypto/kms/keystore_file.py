"""The local keystore's file: its layout, and how it is read, locked and rewritten.

One JSON file (0600), replaced atomically (temporary file, fsync, rename, fsync of the folder) under a lock
file. Byte strings are base64. An overwritten file's old blocks stay on the disk until the file system uses
them again: the destruction of a CMK is as good as the disk.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from crypto.kms.errors import (
    AccessDenied,
    KeyDisabled,
    KeyNotFound,
    KeyPendingDeletion,
    KeystoreDamaged,
    KmsUnavailable,
)
from crypto.kms.lock import Lock, require_private
from crypto.kms.provider import KeyState

VERSION = 1
MAX_KEYSTORE_BYTES = 1 << 20
KEYSTORE_NAME = "keystore.json"
KEY_FILE_NAME = "keystore.key"
LOCK_NAME = "keystore.lock"


class Cmk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One CMK as stored.

    Attributes:
        name: what `local-kms://NAME` calls it; unique among keys that are not destroyed.
        key_id, material_id: random, so that a key made again under an old name is another key.
        created_ms, deletion_ms: ms since epoch; deletion_ms is 0 unless pending or done.
        sealed: nonce, ciphertext and tag of the CMK under the keystore key; empty once destroyed.
    """

    name: str
    key_id: str
    material_id: str
    state: KeyState
    created_ms: int
    deletion_ms: int
    sealed: bytes

    def require_usable(self) -> None:
        """Refuse a CMK that is not enabled.

        Raises:
            KeyDisabled, KeyPendingDeletion, KeyNotFound: as its state says.
        """
        if self.state is KeyState.DISABLED:
            raise KeyDisabled("the CMK is disabled in the local KMS")
        if self.state is KeyState.PENDING_DELETION:
            raise KeyPendingDeletion(f"the CMK is scheduled for deletion on {day(self.deletion_ms)}")
        if self.state is KeyState.DESTROYED:
            raise KeyNotFound(
                f"the CMK was destroyed on {day(self.deletion_ms)}",
                remedy="what it wrapped cannot be opened; restore the keystore from a copy if you have one",
            )


class KeystoreFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    version: int
    lock: Lock
    keys: tuple[Cmk, ...]


def read_keystore(folder: Path) -> KeystoreFile:
    """The keystore as it is now.

    Raises:
        KeyNotFound: there is none.
        KeystoreDamaged: not a keystore of this version.
        AccessDenied, KmsUnavailable: it cannot be read, or others may read it.
    """
    path = folder / KEYSTORE_NAME
    if not path.exists():
        raise KeyNotFound(
            "there is no local keystore",
            remedy="put the keystore's folder in place, or make one: strongroom-kms init",
        )
    with translated("read"):
        require_private(path)
        with path.open("rb") as stream:
            data = stream.read(MAX_KEYSTORE_BYTES + 1)
    if len(data) > MAX_KEYSTORE_BYTES:
        raise KeystoreDamaged(f"the local keystore is larger than {MAX_KEYSTORE_BYTES} bytes")
    try:
        file = msgspec.json.decode(data, type=KeystoreFile)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise KeystoreDamaged("the local keystore is not readable as one") from error
    if file.version != VERSION:
        raise KeystoreDamaged(f"the local keystore has version {file.version}", remedy="use a newer release")
    return file


def write_keystore(folder: Path, file: KeystoreFile) -> None:
    """Replace the keystore; call it inside `locked`.

    Raises:
        AccessDenied, KmsUnavailable: it cannot be written; the old one is still there.
    """
    path = folder / KEYSTORE_NAME
    temporary = folder / f".{KEYSTORE_NAME}.{os.getpid()}"
    with translated("write"):
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as stream:
            stream.write(msgspec.json.format(msgspec.json.encode(file)))
            stream.flush()
            os.fsync(fd)
        os.rename(temporary, path)
        folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder_fd)
        finally:
            os.close(folder_fd)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the keystore's lock file: one writer at a time, among threads and processes.

    Raises:
        AccessDenied, KmsUnavailable: the folder cannot be written.
    """
    with translated("lock"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
        except OSError:
            os.close(fd)
            raise
    try:
        yield
    finally:
        os.close(fd)


def find(file: KeystoreFile, name: str) -> Cmk:
    """The CMK of that name; a destroyed one only when no living one has the name.

    Raises:
        KeyNotFound: there is none.
    """
    named = [key for key in file.keys if key.name == name]
    for key in named:
        if key.state is not KeyState.DESTROYED:
            return key
    if named:
        return named[-1]
    raise KeyNotFound("the local KMS has no CMK of that name")


def deletion_due(file: KeystoreFile, now_ms: int) -> bool:
    """Whether a scheduled deletion has come due and is not carried out."""
    return any(key.state is KeyState.PENDING_DELETION and key.deletion_ms <= now_ms for key in file.keys)


def destroy_due(file: KeystoreFile, now_ms: int) -> KeystoreFile:
    """The file with every CMK whose date has come destroyed: no material left, but its name and dates."""
    keys = tuple(
        msgspec.structs.replace(key, state=KeyState.DESTROYED, sealed=b"")
        if key.state is KeyState.PENDING_DELETION and key.deletion_ms <= now_ms
        else key
        for key in file.keys
    )
    return msgspec.structs.replace(file, keys=keys)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn the operating system's errors into KMS errors.

    Raises:
        AccessDenied: no permission.
        KmsUnavailable: anything else, such as a full disk.
    """
    try:
        yield
    except PermissionError as error:
        raise AccessDenied(f"no permission to {doing} the local keystore") from error
    except OSError as error:
        raise KmsUnavailable(f"cannot {doing} the local keystore: {error.strerror}") from error


def day(at_ms: int) -> str:
    """A date for people, UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(at_ms // 1000))
