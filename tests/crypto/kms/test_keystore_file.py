"""The local keystore's file: read as it is or refused, and replaced as a whole."""

from pathlib import Path

import pytest

from crypto.kms.errors import (
    AccessDenied,
    KeyNotFound,
    KeystoreDamaged,
    KmsUnavailable,
)
from crypto.kms.keystore import Keystore
from crypto.kms.keystore_file import KEYSTORE_NAME


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
