"""The local keystore's file: read as it is or refused, and replaced as a whole."""

import os
from pathlib import Path

import msgspec
import pytest

from crypto.kms.errors import (
    AccessDenied,
    KeyNotFound,
    KeystoreDamaged,
    KmsUnavailable,
)
from crypto.kms.keystore import Keystore
from crypto.kms.keystore_file import (
    KEYSTORE_NAME,
    deletion_due,
    destroy_due,
    find,
    read_keystore,
    write_keystore,
)
from crypto.kms.provider import KeyState


def test_missing_keystore_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(KeyNotFound, match="strongroom-kms init"):
        Keystore(tmp_path / "nowhere").find("main")


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b"\xff" * 100, b'{"version":1}', b"x" * ((1 << 20) + 1)]
)
def test_damaged_file_is_refused(keystore: Keystore, tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "kms" / KEYSTORE_NAME).write_bytes(damage)
    with pytest.raises(KeystoreDamaged):
        keystore.find("main")


def test_unknown_version_is_refused(keystore: Keystore, tmp_path: Path) -> None:
    path = tmp_path / "kms" / KEYSTORE_NAME
    path.write_bytes(path.read_bytes().replace(b'"version": 1', b'"version": 2'))
    with pytest.raises(KeystoreDamaged, match="version 2"):
        keystore.find("main")


def test_keystore_that_others_may_read_is_refused(keystore: Keystore, tmp_path: Path) -> None:
    (tmp_path / "kms" / KEYSTORE_NAME).chmod(0o644)
    with pytest.raises(AccessDenied):
        keystore.find("main")


def test_system_errors_are_translated(keystore: Keystore, tmp_path: Path) -> None:
    path = tmp_path / "kms" / KEYSTORE_NAME
    path.unlink()
    path.mkdir(0o700)
    with pytest.raises(KmsUnavailable):
        keystore.find("main")


def test_what_is_not_written_to_its_end_leaves_the_old_keystore(keystore: Keystore, tmp_path: Path) -> None:
    folder = tmp_path / "kms"
    before = read_keystore(folder)
    (folder / f".{KEYSTORE_NAME}.{os.getpid()}").mkdir()
    with pytest.raises(KmsUnavailable):
        write_keystore(folder, msgspec.structs.replace(before, keys=()))
    assert read_keystore(folder) == before


def test_a_living_key_comes_before_destroyed_ones_of_its_name(keystore: Keystore, tmp_path: Path) -> None:
    (key,) = read_keystore(tmp_path / "kms").keys
    dead = [msgspec.structs.replace(key, key_id=name, state=KeyState.DESTROYED) for name in ("first", "last")]
    file = read_keystore(tmp_path / "kms")
    assert find(msgspec.structs.replace(file, keys=(*dead, key)), "main") == key
    assert find(msgspec.structs.replace(file, keys=tuple(dead)), "main") == dead[-1]
    for keys in ((), (key,)):
        with pytest.raises(KeyNotFound) as missing:
            find(msgspec.structs.replace(file, keys=keys), "other")
        assert missing.value.remedy


@pytest.mark.parametrize(("now_ms", "due"), [(99, False), (100, True), (101, True)])
def test_only_what_is_due_is_destroyed_and_of_it_all_but_name_and_dates(
    keystore: Keystore, tmp_path: Path, now_ms: int, due: bool
) -> None:
    file = read_keystore(tmp_path / "kms")
    (key,) = file.keys
    pending = msgspec.structs.replace(key, state=KeyState.PENDING_DELETION, deletion_ms=100)
    disabled = msgspec.structs.replace(key, state=KeyState.DISABLED, deletion_ms=0)
    file = msgspec.structs.replace(file, keys=(pending, disabled))
    assert deletion_due(file, now_ms) == due
    after = destroy_due(file, now_ms)
    assert after.keys[1] == disabled
    if due:
        assert after.keys[0] == msgspec.structs.replace(pending, state=KeyState.DESTROYED, sealed=b"")
        assert not deletion_due(after, now_ms)
    else:
        assert after == file
