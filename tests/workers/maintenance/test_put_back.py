"""A scheduler whose ledger was put back from an older copy prunes: no job that it does not know comes to harm by it."""

import os
import time

import pytest

import workers.maintenance.prune as prunes
from repository import layout
from repository.errors import SnapshotVoid
from repository.prunes import write_void
from sources.filesystem.stamps import TICK_NS
from tests.workers.maintenance.test_prune import Vault, only, vault
from workers.process import now_ms

__all__ = ["vault"]


def prune_unaware(vault: Vault) -> dict[str, object]:
    """The ledger knows of no job: nobody runs, nobody has ended, and nobody is waited for."""
    vault.ended.clear()
    vault.mark(running=())
    return vault.sweep()


def test_a_backup_that_is_unknown_does_not_commit_what_was_swept(vault: Vault) -> None:
    vault.backup(only(vault, 1))
    unknown = vault.begin(only(vault, 0))
    vault.step(unknown)
    assert prune_unaware(vault)["packs"] == 1, "its own, of which nothing is known"
    with pytest.raises(SnapshotVoid) as caught:
        vault.step(unknown)
    assert caught.value.remedy
    vault.die(unknown)
    vault.require_whole()
    vault.backup(only(vault, 0))
    vault.require_whole()


def test_one_that_relies_on_what_another_stored_does_not_commit_either(vault: Vault) -> None:
    """Nothing changed in its source, so that it stores nothing: all that it has is its plan."""
    parent = vault.backup(only(vault, 0))
    time.sleep(2 * TICK_NS / 1e9)
    vault.backup(vault.trees[parent])
    unknown = os.urandom(16)
    steps = vault.backing.steps(unknown)
    next(steps)
    assert vault.repo.stored(layout.job_prefix(unknown)) == [layout.plan_name(unknown)]
    vault.forget(*vault.trees)
    assert prune_unaware(vault)["packs"] == 1
    with pytest.raises(SnapshotVoid):
        next(steps)


def test_one_that_commits_while_the_sweep_begins_is_kept_whole(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either it has the name of its snapshot first, and is surveyed; or the void has."""
    unknown = vault.begin(only(vault, 0))
    vault.step(unknown)

    def late(*args: object) -> bool:
        vault.finish(unknown)
        return write_void(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(prunes, "write_void", late)
    assert prune_unaware(vault)["packs"] == 0
    assert unknown not in vault.running
    vault.require_whole()


def test_what_it_left_goes_with_its_void(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    vault.backup(only(vault, 1))
    unknown = vault.begin(only(vault, 0))
    vault.step(unknown)
    vault.die(unknown)
    prune_unaware(vault)
    vault.prune()
    left = [layout.snapshot_name(unknown), *vault.repo.stored(layout.job_prefix(unknown))]
    assert set(left) <= set(vault.repo.stored("")), "for as long as a worker of it may be about"
    now = now_ms()
    monkeypatch.setattr(prunes, "now_ms", lambda: now + prunes.REMEMBER_MS + 1)
    vault.prune()
    assert set(left).isdisjoint(vault.repo.stored(""))
    vault.require_whole()


def test_a_job_that_begins_after_the_mark_is_not_called_off(vault: Vault) -> None:
    vault.forget(vault.backup(only(vault, 0)))
    vault.mark(running=())
    vault.ended.clear()
    later = vault.begin(only(vault, 0))
    vault.step(later)
    vault.sweep()
    vault.finish(later)
    vault.require_whole()
