"""What makes a folder a vault, and whose vault it is."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typing_extensions import Buffer

from crypto.keyrecord import CHUNK_ID, DEK, KeyRecord
from repository import layout
from repository.access import VaultId
from repository.chunker import DEFAULT_SIZES
from repository.directory import DirectoryPruner, DirectoryWriter
from repository.errors import (
    ObjectDamaged,
    ObjectExists,
    ObjectMissing,
    RepositoryError,
    StoreUnsupported,
    UnknownFormat,
    VaultMismatch,
    WrongObject,
)
from repository.manifest import VaultConfig
from repository.vault import (
    chunk_sizes,
    epochs,
    new_config,
    read_config,
    read_key_record,
    read_vault_header,
    require_create_once,
    write_config,
    write_key_record,
)

if TYPE_CHECKING:
    from tests.repository.conftest import Repo


def test_a_vault_can_be_told_from_its_clear_header(repo: "Repo") -> None:
    header = read_vault_header(repo.store)
    assert (header.tenant, header.vault, header.epoch) == (*repo.vault, 1)


def test_its_configuration_comes_back(repo: "Repo") -> None:
    config = read_config(repo.store, repo.vault, repo.keys)
    assert config == new_config(1)
    assert chunk_sizes(config) == DEFAULT_SIZES


def test_an_empty_folder_is_no_vault(tmp_path: Path) -> None:
    with pytest.raises(ObjectMissing, match="no vault") as caught:
        read_vault_header(DirectoryWriter(tmp_path))
    assert "init" in caught.value.remedy


def test_there_is_one_vault_in_a_repository(repo: "Repo") -> None:
    with pytest.raises(ObjectExists):
        write_config(repo.store, repo.vault, repo.keys.dek(1), new_config(2))


def test_another_vault_is_refused(repo: "Repo") -> None:
    other = VaultId(b"T" * 16, b"W" * 16)
    with pytest.raises(VaultMismatch):
        read_config(repo.store, other, repo.keys)
    with pytest.raises(VaultMismatch):
        read_key_record(repo.store, other, DEK, 1)


@pytest.mark.parametrize(
    "config",
    [
        VaultConfig(2, *DEFAULT_SIZES, 0),
        VaultConfig(0, *DEFAULT_SIZES, 0),
        VaultConfig(1, 1, 1 << 20, 4 << 20, 0),
        VaultConfig(1, 1 << 20, 1 << 19, 4 << 20, 0),
        VaultConfig(1, 1 << 18, 1 << 20, 1 << 30, 0),
    ],
)
def test_a_configuration_from_the_future_is_refused(repo: "Repo", config: VaultConfig) -> None:
    repo.store.delete(layout.CONFIG)
    write_config(repo.store, repo.vault, repo.keys.dek(1), config)
    with pytest.raises(UnknownFormat):
        read_config(repo.store, repo.vault, repo.keys)


def test_key_records_come_back_and_only_as_what_they_are(repo: "Repo") -> None:
    assert read_key_record(repo.store, repo.vault, DEK, 1).blob == b"wrapped"
    assert read_key_record(repo.store, repo.vault, CHUNK_ID, 0).purpose == CHUNK_ID
    with pytest.raises(ObjectMissing):
        read_key_record(repo.store, repo.vault, DEK, 2)
    with pytest.raises(WrongObject):
        read_key_record(repo.store, repo.vault, CHUNK_ID, 3)
    (repo.folder / layout.dek_name(2)).write_bytes((repo.folder / layout.dek_name(1)).read_bytes())
    with pytest.raises(WrongObject):
        read_key_record(repo.store, repo.vault, DEK, 2)


def test_a_key_record_is_never_overwritten(repo: "Repo") -> None:
    with pytest.raises(ObjectExists):
        write_key_record(repo.store, KeyRecord(1, *repo.vault, DEK, 1, "other", "", b"", 0))


def test_an_unknown_record_version_is_refused(repo: "Repo") -> None:
    write_key_record(repo.store, KeyRecord(2, *repo.vault, DEK, 2, "cmk", "", b"", 0))
    with pytest.raises(WrongObject, match="version 2"):
        read_key_record(repo.store, repo.vault, DEK, 2)


def test_epochs_are_listed(repo: "Repo") -> None:
    write_key_record(repo.store, KeyRecord(1, *repo.vault, DEK, 12, "cmk", "", b"", 0))
    assert epochs(repo.store) == [1, 12]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.binary(max_size=200))
def test_random_bytes_are_no_vault_and_no_key(repo: "Repo", data: bytes) -> None:
    (repo.folder / layout.CONFIG).write_bytes(data)
    (repo.folder / layout.dek_name(1)).write_bytes(data)
    for read in (
        lambda: read_vault_header(repo.store),
        lambda: read_config(repo.store, repo.vault, repo.keys),
        lambda: read_key_record(repo.store, repo.vault, DEK, 1),
    ):
        with pytest.raises(RepositoryError):
            read()


def test_a_key_record_over_the_limit_is_refused(repo: "Repo") -> None:
    (repo.folder / layout.dek_name(2)).write_bytes(bytes(20_000))
    with pytest.raises(ObjectDamaged):
        read_key_record(repo.store, repo.vault, DEK, 2)


class Overwriting(DirectoryPruner):
    """As a server that does not know If-None-Match."""

    def put(self, name: str, parts: Sequence[Buffer]) -> None:
        self.delete(name)
        super().put(name, parts)


def test_a_store_that_overwrites_is_refused(tmp_path: Path) -> None:
    good, bad = DirectoryPruner(tmp_path / "good", create=True), Overwriting(tmp_path / "bad", create=True)
    for store in (good, bad):
        store.put("keys/chunk-id", [b"record"])
    require_create_once(good, "keys/chunk-id")
    with pytest.raises(StoreUnsupported, match="overwrites"):
        require_create_once(bad, "keys/chunk-id")
    assert bad.get("keys/chunk-id", 10) == b"record"
