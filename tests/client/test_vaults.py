"""Vaults of a home, as far as no worker is needed."""

import shlex
from pathlib import Path

import pytest

from client.errors import UnknownVault, VaultExists, VaultInUse
from client.installation import Installation, read_registry
from client.vaults import (
    add_vault,
    command_again,
    create_vault,
    forget_vault,
    is_operators,
    require_unused,
)
from config.home import Home
from config.settings import Settings
from crypto.identity import Identity
from crypto.registry import OPERATOR, Registry, VaultEntry

BROKER = '[broker]\nurl = "redis://127.0.0.1:1/0"\n'


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Where a registry is kept, without an operator."""
    made = Home(tmp_path / "home")
    made.create()
    made.registry_file.write_bytes(Registry(tenant=b"t" * 16).encode())
    return made


def installation(home: Home, settings: Settings | None = None) -> Installation:
    return Installation(home, settings or Settings(), read_registry(home), Identity.generate(OPERATOR))


def test_a_new_vault_is_of_the_tenant_and_one_that_exists_keeps_its_ids(home: Home) -> None:
    new = add_vault(home, "new", "file:///new", "local-kms://k", "web1")
    old = add_vault(home, "old", "file:///old", "local-kms://k", "", (b"v" * 16, b"o" * 16))
    assert (new.tenant, old.id, old.tenant) == (b"t" * 16, b"v" * 16, b"o" * 16)
    assert read_registry(home).vaults == (new, old)


@pytest.mark.parametrize(
    ("name", "ids"), [("docs", (b"x" * 16, bytes(16))), ("docs", None), ("other", (b"v" * 16, bytes(16)))]
)
def test_neither_a_name_nor_a_vault_is_registered_twice(
    home: Home, name: str, ids: tuple[bytes, bytes] | None
) -> None:
    add_vault(home, "docs", "file:///docs", "local-kms://k", "", (b"v" * 16, bytes(16)))
    before = home.registry_file.read_bytes()
    with pytest.raises(VaultExists, match="docs") as refused:
        add_vault(home, name, "file:///docs", "local-kms://k", "", ids)
    assert refused.value.remedy
    assert home.registry_file.read_bytes() == before


def test_what_was_forgotten_comes_back_by_the_command_that_is_told(home: Home) -> None:
    for host in ("", "web1"):
        entry = add_vault(home, "a b", "file:///x", "local-kms://k", host)
        forget_vault(home, entry)
        assert read_registry(home).vaults == ()
        words = shlex.split(command_again(home, entry))
        assert words[:4] == ["strongroom", "vault", "add", "a b"]
        assert ("--host" in words) == bool(host)
        options = dict(zip(words[4::2], words[5::2], strict=True))
        assert (options["--id"], options["--tenant"]) == (entry.id.hex(), entry.tenant.hex())


def test_an_operators_own_stack_finds_a_vault_by_itself(home: Home) -> None:
    entry = VaultEntry(bytes(16), bytes(16), "docs", "file:///x", "local-kms://k")
    (home.identities / OPERATOR).touch()
    assert is_operators(home)
    assert shlex.split(command_again(home, entry))[:3] == ["strongroom", "vault", "attach"]
    home.settings_file.write_text(BROKER)
    assert shlex.split(command_again(home, entry))[:3] == ["strongroom", "vault", "add"]


def test_a_vault_that_a_schedule_here_names_is_in_use(home: Home) -> None:
    entry = add_vault(home, "docs", "file:///docs", "local-kms://k", "")
    other = add_vault(home, "other", "file:///other", "local-kms://k", "")
    home.settings_file.write_text(
        '[[schedules]]\nname = "nightly"\nvault = "docs"\npaths = ["/etc"]\ncron = "0 3 * * *"\n'
    )
    with pytest.raises(VaultInUse, match="'nightly'") as refused:
        require_unused(home, entry)
    assert "--force" in refused.value.remedy
    require_unused(home, other)


def test_a_folder_with_something_in_it_is_no_place_for_a_vault(home: Home, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/mine").touch()
    for folder in ("taken", "taken/mine", "taken/mine/below"):
        with pytest.raises(VaultExists) as refused:
            create_vault(installation(home), "docs", (tmp_path / folder).as_uri(), "local-kms://k")
        assert "new or empty folder" in refused.value.remedy
    assert read_registry(home).vaults == ()


def test_no_vault_is_made_in_a_copy_of_the_registry(home: Home) -> None:
    settings = Settings(broker=Settings().broker.__class__(url="redis://127.0.0.1:1/0"))
    with pytest.raises(UnknownVault, match="copy of the registry") as refused:
        create_vault(installation(home, settings), "docs", "file:///new", "local-kms://k")
    assert "registry import" in refused.value.remedy
    assert read_registry(home).vaults == ()
