import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crypto.kms.errors import (
    KeyDisabled,
    KeyExists,
    KeyNotFound,
    KeyPendingDeletion,
    KeystoreDamaged,
    WrongPassphrase,
)
from crypto.kms.keystore import Keystore
from crypto.kms.keystore_file import KEYSTORE_NAME
from crypto.kms.provider import KeyState


@pytest.mark.usefixtures("keystore")
def test_files_are_owner_only(tmp_path: Path) -> None:
    assert (tmp_path / "kms").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "kms").iterdir()} == {0o600}


def test_cmk_is_not_in_the_keystore_file(keystore: Keystore, tmp_path: Path) -> None:
    key = keystore.open(keystore.find("main"))
    text = (tmp_path / "kms" / KEYSTORE_NAME).read_bytes()
    assert bytes(key.view()) not in text
    assert msgspec.json.encode(bytes(key.view())).strip(b'"') not in text


def test_names_are_unique_and_checked(keystore: Keystore) -> None:
    with pytest.raises(KeyExists):
        keystore.create("main")
    for bad in ("", "a/b", "../x", "a b", "x" * 65, "-x", "ä"):
        with pytest.raises(KeyNotFound, match="letters, digits"):
            keystore.create(bad)


def test_states_change_as_in_a_kms(keystore: Keystore, clock: Any) -> None:
    assert keystore.disable("main").state is KeyState.DISABLED
    assert keystore.enable("main").state is KeyState.ENABLED
    pending = keystore.schedule_deletion("main", clock() + 1000)
    assert (pending.state, pending.deletion_ms) == (KeyState.PENDING_DELETION, clock() + 1000)
    with pytest.raises(KeyPendingDeletion, match="cancel"):
        keystore.enable("main")
    kept = keystore.cancel_deletion("main")
    assert (kept.state, kept.deletion_ms) == (KeyState.DISABLED, 0)
    with pytest.raises(KeyExists, match="nothing to cancel"):
        keystore.cancel_deletion("main")


def test_scheduled_key_is_destroyed_on_its_date_and_its_material_is_gone(
    keystore: Keystore, clock: Any, tmp_path: Path
) -> None:
    sealed = msgspec.json.encode(keystore.find("main").sealed).strip(b'"')
    path = tmp_path / "kms" / KEYSTORE_NAME
    keystore.schedule_deletion("main", clock() + 7 * 86_400_000)
    clock.pass_days(6.9)
    assert keystore.find("main").state is KeyState.PENDING_DELETION
    assert sealed in path.read_bytes()
    clock.pass_days(0.2)
    assert keystore.find("main").state is KeyState.DESTROYED
    assert sealed not in path.read_bytes()
    for change in (keystore.enable, keystore.disable, keystore.cancel_deletion):
        with pytest.raises(KeyNotFound, match="destroyed on"):
            change("main")


def test_name_of_a_destroyed_key_can_be_used_for_another_key(keystore: Keystore, clock: Any) -> None:
    old = keystore.find("main")
    keystore.schedule_deletion("main", clock())
    new = keystore.create("main")
    assert new.key_id != old.key_id
    assert keystore.find("main") == new
    assert keystore.find_id(old.key_id).state is KeyState.DESTROYED


def test_disable_by_another_process_acts_at_the_next_look(keystore: Keystore, tmp_path: Path) -> None:
    keystore.find("main").require_usable()
    Keystore(tmp_path / "kms").disable("main")
    with pytest.raises(KeyDisabled):
        keystore.find("main").require_usable()


@pytest.mark.usefixtures("cheap_argon2")
def test_disable_needs_no_passphrase(tmp_path: Path, passphrase: Callable[[], bytes]) -> None:
    locked = Keystore(tmp_path / "kms", passphrase)
    locked.initialise()
    locked.create("main")
    assert Keystore(tmp_path / "kms").disable("main").state is KeyState.DISABLED
    with pytest.raises(WrongPassphrase):
        Keystore(tmp_path / "kms").create("other")
    with pytest.raises(WrongPassphrase):
        Keystore(tmp_path / "kms", lambda: b"wrong").open(locked.find("main"))


@pytest.mark.usefixtures("keystore")
def test_initialise_never_replaces_a_keystore(tmp_path: Path) -> None:
    with pytest.raises(KeyExists):
        Keystore(tmp_path / "kms").initialise()


def test_altered_entry_does_not_open(keystore: Keystore) -> None:
    keystore.create("other")
    main, other = keystore.find("main"), keystore.find("other")
    for altered in (
        msgspec.structs.replace(main, sealed=other.sealed),
        msgspec.structs.replace(main, name="other"),
        msgspec.structs.replace(main, key_id=other.key_id),
        msgspec.structs.replace(main, material_id=other.material_id),
        msgspec.structs.replace(main, sealed=b"short"),
    ):
        with pytest.raises(KeystoreDamaged):
            keystore.open(altered)


def _create_many(folder: Path, prefix: str, count: int) -> None:
    keystore = Keystore(folder)
    for number in range(count):
        keystore.create(f"{prefix}{number}")


def test_two_processes_that_create_keys_lose_none(keystore: Keystore, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_create_many, args=(tmp_path / "kms", prefix, 15)) for prefix in ("a", "b")
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert len(keystore.keys()) == 31
