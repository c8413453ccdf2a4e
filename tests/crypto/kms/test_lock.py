from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from crypto.kms.errors import AccessDenied, KeystoreDamaged, WrongPassphrase
from crypto.kms.lock import PASSPHRASE, make_lock, open_lock


def test_key_file_opens_what_it_locked_and_is_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keystore.key"
    lock, key = make_lock(path, None)
    assert path.stat().st_mode & 0o777 == 0o600
    assert open_lock(lock, path, None).same_as(key)


def test_key_file_left_by_a_killed_process_is_used_again(tmp_path: Path) -> None:
    path = tmp_path / "keystore.key"
    _, first = make_lock(path, None)
    _, second = make_lock(path, None)
    assert first.same_as(second)


@pytest.mark.usefixtures("cheap_argon2")
def test_passphrase_opens_what_it_locked_and_writes_no_key(
    tmp_path: Path, passphrase: Callable[[], bytes]
) -> None:
    path = tmp_path / "keystore.key"
    lock, key = make_lock(path, passphrase)
    assert lock.kind == PASSPHRASE
    assert not path.exists()
    assert open_lock(lock, path, passphrase).same_as(key)


@pytest.mark.usefixtures("cheap_argon2")
@pytest.mark.parametrize("given", [b"wrong horse", b"", b"x" * 1025])
def test_wrong_passphrase_is_told_from_damage(
    tmp_path: Path, given: bytes, passphrase: Callable[[], bytes]
) -> None:
    lock, _ = make_lock(tmp_path / "k", passphrase)
    with pytest.raises(WrongPassphrase):
        open_lock(lock, tmp_path / "k", lambda: given)


@pytest.mark.usefixtures("cheap_argon2")
def test_no_passphrase_where_one_is_needed_says_where_to_set_it(
    tmp_path: Path, passphrase: Callable[[], bytes]
) -> None:
    lock, _ = make_lock(tmp_path / "k", passphrase)
    with pytest.raises(WrongPassphrase, match="passphrase_file"):
        open_lock(lock, tmp_path / "k", None)


def test_key_file_of_another_keystore_is_refused(tmp_path: Path) -> None:
    lock, _ = make_lock(tmp_path / "a", None)
    make_lock(tmp_path / "b", None)
    with pytest.raises(WrongPassphrase):
        open_lock(lock, tmp_path / "b", None)


def test_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    lock, _ = make_lock(tmp_path / "k", None)
    (tmp_path / "k").chmod(0o640)
    with pytest.raises(AccessDenied, match="chmod 600"):
        open_lock(lock, tmp_path / "k", None)


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33])
def test_key_file_of_another_length_is_refused(tmp_path: Path, content: bytes) -> None:
    lock, _ = make_lock(tmp_path / "k", None)
    (tmp_path / "k").write_bytes(content)
    with pytest.raises(WrongPassphrase):
        open_lock(lock, tmp_path / "k", None)


def test_missing_key_file_says_so(tmp_path: Path) -> None:
    lock, _ = make_lock(tmp_path / "k", None)
    (tmp_path / "k").unlink()
    with pytest.raises(WrongPassphrase, match="missing"):
        open_lock(lock, tmp_path / "k", None)


@pytest.mark.usefixtures("cheap_argon2")
@pytest.mark.parametrize(
    "changes",
    [
        {"memory_kib": 1 << 40},
        {"iterations": 10**9},
        {"lanes": 0},
        {"lanes": 1000},
        {"salt": b""},
        {"kind": "quantum"},
        {"check": b""},
    ],
)
def test_altered_lock_cannot_ask_for_the_moon(
    tmp_path: Path, changes: dict[str, object], passphrase: Callable[[], bytes]
) -> None:
    lock, _ = make_lock(tmp_path / "k", passphrase)
    with pytest.raises(KeystoreDamaged):
        open_lock(msgspec.structs.replace(lock, **changes), tmp_path / "k", passphrase)
