import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import Malformed, OutOfScope, Untrusted
from crypto.registry import (
    BACKUP,
    KEY_BROKER,
    MAX_REGISTRY,
    RESTORE,
    SCHEDULER,
    Enrolled,
    Registry,
    VaultEntry,
)
from tests.crypto.world import damaged

WORKER = Enrolled(b"w" * 16, "worker", (BACKUP, RESTORE), bytes(32), bytes(8), vaults=(b"v" * 16,))
ANYWHERE = Enrolled(b"a" * 16, "anywhere", (BACKUP,), bytes(32), bytes(8))
NOWHERE = Enrolled(b"n" * 16, "nowhere", (BACKUP,), bytes(32), bytes(8), vaults=())
VAULT = VaultEntry(b"v" * 16, b"t" * 16, "photos", "file:///here", "local-kms://main")
REGISTRY = Registry(tenant=b"t" * 16, identities=(WORKER, ANYWHERE, NOWHERE), vaults=(VAULT,))
FILE = REGISTRY.encode()


def test_registry_survives_its_file() -> None:
    assert Registry.decode(FILE) == REGISTRY


@given(damaged(FILE) | st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_damaged_file_is_refused_or_a_sound_registry(data: bytes) -> None:
    try:
        registry = Registry.decode(data)
    except Malformed:
        return
    assert Registry.decode(registry.encode()) == registry


@pytest.mark.parametrize(
    "broken",
    [
        msgspec.structs.replace(REGISTRY, version=0),
        msgspec.structs.replace(REGISTRY, version=3),
        msgspec.structs.replace(REGISTRY, version=1, serial=1),
        msgspec.structs.replace(REGISTRY, serial=-1),
        msgspec.structs.replace(REGISTRY, serial=1 << 60),
        msgspec.structs.replace(REGISTRY, tenant=b"short"),
        msgspec.structs.replace(
            REGISTRY, identities=(WORKER, msgspec.structs.replace(ANYWHERE, id=WORKER.id))
        ),
        msgspec.structs.replace(REGISTRY, identities=(msgspec.structs.replace(WORKER, id=b"short"),)),
        msgspec.structs.replace(REGISTRY, identities=(msgspec.structs.replace(WORKER, roles=("root",)),)),
        msgspec.structs.replace(REGISTRY, identities=(msgspec.structs.replace(WORKER, vaults=(b"v",)),)),
        msgspec.structs.replace(REGISTRY, vaults=(VAULT, msgspec.structs.replace(VAULT, tenant=b"T" * 16))),
        msgspec.structs.replace(REGISTRY, vaults=(msgspec.structs.replace(VAULT, id=b"v" * 17),)),
        msgspec.structs.replace(REGISTRY, vaults=(msgspec.structs.replace(VAULT, tenant=b""),)),
        msgspec.structs.replace(REGISTRY, vaults=(msgspec.structs.replace(VAULT, host="*"),)),
        msgspec.structs.replace(REGISTRY, identities=(msgspec.structs.replace(ANYWHERE, host="Web 1"),)),
        msgspec.structs.replace(REGISTRY, identities=(msgspec.structs.replace(WORKER, host="web1"),)),
    ],
)
def test_ambiguous_or_unsound_registry_is_refused(broken: Registry) -> None:
    with pytest.raises(Malformed):
        Registry.decode(broken.encode())


def test_a_file_of_an_earlier_release_has_seen_no_changes() -> None:
    lines = FILE.replace(b'"version": 2', b'"version": 1').splitlines()
    old = b"\n".join(line for line in lines if b'"serial"' not in line)
    assert len(old.splitlines()) == len(lines) - 1
    assert Registry.decode(old) == REGISTRY


def test_unknown_field_is_refused() -> None:
    with pytest.raises(Malformed):
        Registry.decode(FILE.replace(b'"version"', b'"vers"'))


def test_oversized_file_is_refused() -> None:
    with pytest.raises(Malformed, match="large"):
        Registry.decode(b" " * (MAX_REGISTRY + 1))


def test_identity_is_only_what_it_is_enrolled_as() -> None:
    WORKER.require(BACKUP)
    WORKER.require(RESTORE, VAULT.id)
    for role in (SCHEDULER, KEY_BROKER, "", "backup "):
        with pytest.raises(Untrusted):
            WORKER.require(role, VAULT.id)


def test_identity_works_only_for_its_vaults() -> None:
    ANYWHERE.require(BACKUP, b"x" * 16)
    for each in (WORKER, NOWHERE):
        with pytest.raises(OutOfScope):
            each.require(BACKUP, b"x" * 16)
    with pytest.raises(OutOfScope):
        NOWHERE.require(BACKUP, VAULT.id)


def test_holders_are_those_who_may() -> None:
    assert REGISTRY.holders(BACKUP) == (WORKER, ANYWHERE, NOWHERE)
    assert REGISTRY.holders(BACKUP, VAULT.id) == (WORKER, ANYWHERE)
    assert REGISTRY.holders(RESTORE, b"x" * 16) == REGISTRY.holders(SCHEDULER) == ()


@pytest.mark.parametrize("unknown", [b"", b"x" * 16, bytes(1_000_000)])
def test_unknown_ids_are_refused_in_few_words(unknown: bytes) -> None:
    with pytest.raises(Untrusted) as untrusted:
        REGISTRY.identity(unknown)
    with pytest.raises(OutOfScope) as out_of_scope:
        REGISTRY.vault(unknown)
    assert len(str(untrusted.value)) + len(str(out_of_scope.value)) < 300


def test_new_entry_takes_the_place_of_the_one_of_its_id() -> None:
    weaker = msgspec.structs.replace(WORKER, roles=())
    registry = REGISTRY.with_identity(weaker)
    assert (registry.identity(WORKER.id), len(registry.identities)) == (weaker, 3)
    moved = msgspec.structs.replace(VAULT, kms="local-kms://other")
    assert (REGISTRY.with_vault(moved).vault(VAULT.id), len(REGISTRY.with_vault(moved).vaults)) == (moved, 1)
    assert REGISTRY.identity(WORKER.id) == WORKER
