from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crypto.kms.errors import (
    IncorrectKey,
    InvalidCiphertext,
    KeyDisabled,
    KeyNotFound,
    KeyPendingDeletion,
    KmsError,
)
from crypto.kms.keystore import Keystore
from crypto.kms.local import BLOB_BYTES, LocalKms
from crypto.kms.provider import KeyState, KmsProvider, WrappedKey

CONTEXT = {"service": "strongroom", "tenant": "11" * 16, "vault": "22" * 16, "purpose": "dek", "epoch": "1"}


@pytest.fixture
def kms(keystore: Keystore) -> KmsProvider:
    return LocalKms(keystore, "main")


def test_generated_key_unwraps_under_its_context(kms: KmsProvider) -> None:
    made = kms.generate(CONTEXT)
    assert len(made.wrapped.blob) == BLOB_BYTES
    assert bytes(made.plaintext.view()) not in made.wrapped.blob
    assert kms.decrypt(made.wrapped, dict(reversed(CONTEXT.items()))).same_as(made.plaintext)


def test_generated_keys_differ(kms: KmsProvider) -> None:
    first, second = kms.generate(CONTEXT), kms.generate(CONTEXT)
    assert not first.plaintext.same_as(second.plaintext)
    assert first.wrapped.blob != second.wrapped.blob


@pytest.mark.parametrize("name", sorted(CONTEXT))
def test_other_context_is_refused(kms: KmsProvider, name: str) -> None:
    wrapped = kms.generate(CONTEXT).wrapped
    for other in (CONTEXT | {name: CONTEXT[name] + "x"}, {k: v for k, v in CONTEXT.items() if k != name}):
        with pytest.raises(InvalidCiphertext):
            kms.decrypt(wrapped, other)


def test_context_that_only_looks_alike_is_refused(kms: KmsProvider) -> None:
    wrapped = kms.generate({"a": "b", "c": "d"}).wrapped
    for other in ({"a": "bc", "": "d"}, {"ab": "", "c": "d"}, {"a": "b", "c": "d", "e": ""}):
        with pytest.raises(InvalidCiphertext):
            kms.decrypt(wrapped, other)


def test_oversized_context_is_refused(kms: KmsProvider) -> None:
    for big in ({"a": "x" * 300}, {str(number): "" for number in range(17)}):
        with pytest.raises(InvalidCiphertext, match="too large"):
            kms.generate(big)


def test_every_altered_bit_is_refused(kms: KmsProvider) -> None:
    wrapped = kms.generate(CONTEXT).wrapped
    for place in range(len(wrapped.blob)):
        blob = bytearray(wrapped.blob)
        blob[place] ^= 1
        with pytest.raises(InvalidCiphertext):
            kms.decrypt(WrappedKey(bytes(blob), wrapped.key_id, wrapped.material_id), CONTEXT)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(blob=st.binary(max_size=200), material_id=st.text(max_size=40), key_id=st.text(max_size=40))
def test_any_blob_gives_a_typed_error(kms: KmsProvider, blob: bytes, material_id: str, key_id: str) -> None:
    for named in (key_id, kms.describe().key_id):
        with pytest.raises((InvalidCiphertext, IncorrectKey)):
            kms.decrypt(WrappedKey(blob, named, material_id), CONTEXT)


def test_key_of_another_cmk_is_refused(kms: KmsProvider, keystore: Keystore) -> None:
    keystore.create("other")
    with pytest.raises(IncorrectKey):
        LocalKms(keystore, "other").decrypt(kms.generate(CONTEXT).wrapped, CONTEXT)


def test_key_made_again_under_an_old_name_is_another_key(
    kms: KmsProvider, keystore: Keystore, clock: Any
) -> None:
    wrapped = kms.generate(CONTEXT).wrapped
    keystore.schedule_deletion("main", clock())
    keystore.create("main")
    with pytest.raises(IncorrectKey):
        kms.decrypt(wrapped, CONTEXT)


def test_reencrypt_moves_to_another_cmk_and_context(kms: KmsProvider, keystore: Keystore) -> None:
    keystore.create("new")
    new = LocalKms(keystore, "new")
    made, target = kms.generate(CONTEXT), CONTEXT | {"version": "2"}
    moved = new.reencrypt(made.wrapped, CONTEXT, target)
    assert moved.key_id == new.describe().key_id
    assert new.decrypt(moved, target).same_as(made.plaintext)
    with pytest.raises(InvalidCiphertext):
        new.reencrypt(made.wrapped, target, target)
    with pytest.raises(KeyNotFound):
        new.reencrypt(WrappedKey(made.wrapped.blob, "local-kms:none", ""), CONTEXT, target)


def _operations(kms: KmsProvider, wrapped: WrappedKey) -> list[Any]:
    return [
        lambda: kms.generate(CONTEXT),
        lambda: kms.decrypt(wrapped, CONTEXT),
        lambda: kms.reencrypt(wrapped, CONTEXT, CONTEXT),
    ]


def test_off_switch_stops_every_operation_at_the_next_call(
    kms: KmsProvider, keystore: Keystore, clock: Any
) -> None:
    wrapped = kms.generate(CONTEXT).wrapped
    keystore.disable("main")
    for operation in _operations(kms, wrapped):
        with pytest.raises(KeyDisabled, match="strongroom-kms enable"):
            operation()
    assert kms.describe().state is KeyState.DISABLED
    keystore.enable("main")
    for operation in _operations(kms, wrapped):
        operation()
    keystore.schedule_deletion("main", clock() + 1)
    for operation in _operations(kms, wrapped):
        with pytest.raises(KeyPendingDeletion, match="2026-09-21"):
            operation()
    clock.pass_days(1)
    for operation in _operations(kms, wrapped):
        with pytest.raises(KeyNotFound, match="destroyed"):
            operation()
    assert kms.describe().state is KeyState.DESTROYED


def test_reencrypt_from_a_disabled_cmk_is_refused(kms: KmsProvider, keystore: Keystore) -> None:
    keystore.create("new")
    wrapped = kms.generate(CONTEXT).wrapped
    keystore.disable("main")
    with pytest.raises(KeyDisabled):
        LocalKms(keystore, "new").reencrypt(wrapped, CONTEXT, CONTEXT)


def test_create_missing_makes_keystore_and_key_once(tmp_path: Path, clock: Any) -> None:
    keystore = Keystore(tmp_path / "fresh", None, clock)
    kms = LocalKms(keystore, "mine")
    with pytest.raises(KeyNotFound):
        kms.generate(CONTEXT)
    kms.create_missing()
    wrapped = kms.generate(CONTEXT).wrapped
    kms.create_missing()
    kms.decrypt(wrapped, CONTEXT)
    assert len(keystore.keys()) == 1


def test_create_missing_never_makes_a_destroyed_key_again(
    kms: LocalKms, keystore: Keystore, clock: Any
) -> None:
    keystore.schedule_deletion("main", clock())
    with pytest.raises(KeyNotFound, match="destroyed"):
        kms.create_missing()


def test_every_failure_is_a_kms_error(kms: KmsProvider, tmp_path: Path) -> None:
    wrapped = kms.generate(CONTEXT).wrapped
    for path in (tmp_path / "kms").iterdir():
        path.unlink()
    for operation in (*_operations(kms, wrapped), kms.describe):
        with pytest.raises(KmsError):
            operation()
