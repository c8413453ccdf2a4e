import os
import shutil
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from client.errors import AlreadyInitialised, ClientError, NotInitialised, UnknownVault
from client.installation import (
    Installation,
    change_registry,
    initialise,
    python_command,
    read_registry,
    without_vault,
    write_private,
)
from config.home import Home
from config.schedules import Retention
from config.settings import Settings, load
from crypto.identity import Identity
from crypto.registry import ROLES, VaultEntry


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    initialise(made)
    return made


def test_a_new_home_is_complete_and_only_its_owners(home: Home):
    for folder, folders, files in os.walk(home.root):
        for name in [*folders, *files]:
            assert stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode) & 0o077 == 0
    registry = read_registry(home)
    assert len(registry.tenant) == 16
    for role in ROLES:
        private = Identity.decode((home.identities / role).read_bytes())
        (public,) = registry.holders(role)
        assert (public.id, public.sign_public, public.roles) == (private.id, private.sign_public, (role,))
    assert any(home.kms_dir.iterdir())


def test_the_settings_file_that_is_written_means_the_defaults(home: Home):
    assert load(home, {}) == Settings()


def test_every_setting_in_the_file_is_a_real_one(home: Home):
    lines = home.settings_file.read_text().splitlines()
    live = [line.removeprefix("# ") if " = " in line or line.startswith("# [") else line for line in lines]
    home.settings_file.write_text("\n".join(line for line in live if not line.startswith("#")))
    settings = load(home, {})
    assert settings.schedules[0].name == "nightly"
    written = {line.partition(" = ")[0] for line in lines}
    assert {f"# {name}" for name in Retention.__struct_fields__} <= written
    assert settings.retention[0].keep_daily == 7
    assert (settings.kms, settings.cache, settings.epoch) == (
        Settings().kms,
        Settings().cache,
        Settings().epoch,
    )


def test_a_pipe_or_a_folder_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    pipe, folder = tmp_path / "pipe", tmp_path / "folder"
    os.mkfifo(pipe)
    folder.mkdir()
    for path in (pipe, folder):
        with pytest.raises(ClientError, match="no file"):
            write_private(path, b"registry")
    assert pipe.is_fifo()
    assert sorted(tmp_path.iterdir()) == [folder, pipe]


def test_a_home_is_made_only_once(home: Home):
    before = home.registry_file.read_bytes()
    with pytest.raises(AlreadyInitialised):
        initialise(home)
    assert home.registry_file.read_bytes() == before


def test_without_a_home_there_is_a_remedy(tmp_path: Path):
    with pytest.raises(NotInitialised) as caught:
        Installation.open(Home(tmp_path))
    assert "strongroom init" in caught.value.remedy


@pytest.mark.parametrize("copied", [False, True])
def test_a_client_of_a_broker_is_not_told_to_make_another_installation(
    home: Home, tmp_path: Path, copied: bool
):
    client = Home(tmp_path / "client")
    client.create()
    client.settings_file.write_text('[broker]\nurl = "redis://127.0.0.1:1/0"\n')
    if copied:
        shutil.copy(home.registry_file, client.registry_file)
    with pytest.raises(NotInitialised) as caught:
        Installation.open(client)
    assert "strongroom init" not in caught.value.remedy
    expected = "identity new --role operator" if copied else "registry import"
    assert expected in caught.value.remedy


def test_an_unknown_vault_is_told_with_the_known_ones(home: Home):
    entry = VaultEntry(bytes(16), bytes(16), "docs", "file:///x", "local-kms://x")
    change_registry(home, lambda registry: registry.with_vault(entry))
    assert Installation.open(home).vault("docs") == entry
    with pytest.raises(UnknownVault) as caught:
        Installation.open(home).vault("dosc")
    assert "docs" in caught.value.remedy
    change_registry(home, without_vault(entry.id))
    assert Installation.open(home).registry.vaults == ()


def test_commands_that_change_the_registry_at_once_do_not_lose_each_others_change(home: Home):
    def add(number: int) -> None:
        entry = VaultEntry(bytes([number] * 16), bytes(16), f"v{number}", "file:///x", "local-kms://x")
        change_registry(home, lambda registry: registry.with_vault(entry))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_registry(home).vaults) == 8


def test_a_folder_of_the_callers_does_not_become_our_code(tmp_path: Path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config/__init__.py").write_text("raise SystemExit(7)")
    command, environment = python_command("config.errors")
    assert subprocess.run(command, env=environment, cwd=tmp_path, check=False).returncode == 0
