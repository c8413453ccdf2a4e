"""Identities made and enrolled, and what is refused."""

import stat
from pathlib import Path

import msgspec
import pytest

from client.errors import BadArgument, EnrolmentRefused
from client.identities import (
    enrolled_as,
    make_identity,
    read_public,
    read_registry_copy,
    without_identity,
)
from crypto.enrolment import MAX_NAME
from crypto.errors import CryptoError
from crypto.identity import Identity
from crypto.registry import BACKUP, RESTORE, Registry, VaultEntry
from tests.client.deliveries import enrolled

VAULT = VaultEntry(b"v" * 16, bytes(16), "docs", "file:///x", "local-kms://x")


def registry_of(*names: str) -> Registry:
    registry = Registry()
    for name in names:
        registry = registry.with_identity(enrolled(Identity.generate(name), BACKUP))
    return registry


def test_the_private_part_stays_with_its_owner_and_the_public_one_is_read_again(tmp_path: Path) -> None:
    made = make_identity(BACKUP, "web one", tmp_path / "key")
    assert read_public(tmp_path / "key.pub") == made
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    with pytest.raises(CryptoError):
        read_public(tmp_path / "key")


@pytest.mark.parametrize("name", ["", "x" * (MAX_NAME + 1), "line\nbreak", "\x1b[31m"])
def test_a_name_that_is_none_makes_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadArgument) as refused:
        make_identity(BACKUP, name, tmp_path / "key")
    assert refused.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_whatever_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"mine")
    with pytest.raises(EnrolmentRefused) as refused:
        make_identity(BACKUP, "a", tmp_path / "key")
    assert refused.value.remedy
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"key": b"mine"}


def test_an_entry_has_the_ids_of_its_vaults_and_nobody_elses_role(tmp_path: Path) -> None:
    registry = Registry().with_vault(VAULT)
    public = make_identity(BACKUP, "a", tmp_path / "key")
    entry = enrolled_as(public, BACKUP, ["docs"], "web1", registry)
    assert (entry.roles, entry.vaults, entry.host) == ((BACKUP,), (VAULT.id,), "web1")
    assert enrolled_as(public, BACKUP, [], "", registry).vaults is None
    for role, vaults, host in ((RESTORE, [], ""), (BACKUP, ["none"], "")):
        with pytest.raises(EnrolmentRefused) as refused:
            enrolled_as(public, role, vaults, host, registry)
        assert refused.value.remedy


def test_one_identity_is_taken_out_by_name_or_by_enough_of_its_id() -> None:
    registry = registry_of("one", "two")
    one, two = registry.identities
    for wanted in ("one", one.id.hex(), one.id.hex()[:8], one.id.hex()[:9].upper()):
        left, gone = without_identity(registry, wanted)
        assert (left.identities, gone) == ((two,), one)
    for wanted in ("", "three", one.id.hex()[:7], "*"):
        with pytest.raises(EnrolmentRefused, match="no enrolled identity") as refused:
            without_identity(registry, wanted)
        assert refused.value.remedy


def test_what_could_mean_two_takes_out_none() -> None:
    registry = registry_of("one", "two")
    one, two = registry.identities
    named_like_an_id = msgspec.structs.replace(two, name=one.id.hex())
    registry = msgspec.structs.replace(registry, identities=(one, named_like_an_id))
    with pytest.raises(EnrolmentRefused, match="2 identities"):
        without_identity(registry, one.id.hex())


def test_a_carried_copy_is_read_up_to_a_limit(tmp_path: Path) -> None:
    (tmp_path / "copy").write_bytes(b"x" * 10)
    assert read_registry_copy(tmp_path / "copy", 10) == b"x" * 10
    for file, limit in ((tmp_path / "copy", 9), (tmp_path / "none", 10), (tmp_path, 10)):
        with pytest.raises(BadArgument) as refused:
            read_registry_copy(file, limit)
        assert refused.value.remedy
