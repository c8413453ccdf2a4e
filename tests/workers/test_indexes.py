"""What a process has open: of a few vaults, those that were used last."""

from pathlib import Path

import pytest

from config.home import Home
from repository.access import VaultId
from workers.indexes import LOOK_EVERY_S, OPEN, LastLook, Recent, cache_folder


class Opened:
    def __init__(self, vault: VaultId) -> None:
        self.vault = vault
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def vault(number: int) -> VaultId:
    return VaultId(b"T" * 16, bytes([number]) * 16)


def test_the_one_that_was_not_used_for_longest_is_closed_for_another() -> None:
    recent = Recent(Opened)
    made = [recent.of(vault(number)) for number in range(OPEN)]
    assert recent.of(vault(0)) is made[0]
    recent.of(vault(OPEN))
    assert [each.closed for each in made] == [0, 1, *[0] * (OPEN - 2)]
    assert recent.of(vault(0)) is made[0]
    again = recent.of(vault(1))
    assert (again is made[1], again.closed, made[2].closed) == (False, 0, 1)


def test_all_that_is_open_is_closed_once_and_opened_anew() -> None:
    recent = Recent(Opened)
    made = [recent.of(vault(number)) for number in range(2)]
    recent.close()
    recent.close()
    assert [each.closed for each in made] == [1, 1]
    assert recent.of(vault(0)) is not made[0]


def test_vaults_of_two_tenants_are_two_things() -> None:
    recent = Recent(Opened)
    assert recent.of(vault(1)) is not recent.of(VaultId(b"U" * 16, vault(1).vault))


def test_a_look_is_for_one_job_and_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("workers.indexes.time.monotonic", lambda: now)
    look = LastLook()
    assert look.is_due(b"")
    look.done(b"one")
    assert (look.was_for(b"one"), look.is_due(b"one")) == (True, False)
    assert (look.was_for(b"two"), look.is_due(b"two")) == (False, True)
    now += LOOK_EVERY_S - 0.1
    assert not look.is_due(b"one")
    now += 0.2
    assert (look.was_for(b"one"), look.is_due(b"one")) == (True, True)


def test_no_role_and_no_vault_shares_a_folder(tmp_path: Path) -> None:
    home = Home(tmp_path)
    folders = {cache_folder(home, role, vault(number)) for role in ("backup", "restore") for number in (1, 2)}
    assert len(folders) == 4
    assert all(folder.is_relative_to(home.cache) for folder in folders)
