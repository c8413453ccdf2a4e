"""A scheduler whose ledger was put back from an older copy prunes: no job that it does not know comes to harm by it."""

import os
import time

import pytest

import workers.maintenance.prune as prunes
from repository import layout
from repository.errors import SnapshotVoid
from repository.prunes import write_void
from sources.filesystem.stamps import TICK_NS
from tests.workers.backup.backing import Backing
from tests.workers.maintenance.test_prune import Vault, only, vault
from tests.workers.maintenance.upkeep import Upkeep
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


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_unknown_beside_it_every_snapshot_restores(
    backing: Backing, upkeep: Upkeep, seed: int
) -> None:
    """Now and then the ledger forgets a job that has its plan: nobody waits for it, and nobody knows when it ends."""
    vault = Vault(backing, upkeep, seed)
    dice = vault.random
    unknown: set[bytes] = set()

    def step(job: bytes) -> None:
        try:
            vault.step(job)
        except SnapshotVoid:
            assert job in unknown, "one that is known is never called off"
            vault.die(job)
        if job in unknown and job not in vault.running:
            vault.ended.remove(job)

    for _ in range(45):
        known = [job for job in vault.running if job not in unknown]
        ended = [job for job in vault.trees if job not in vault.running]
        action = dice.choice(["begin", "begin", "step", "step", "lose", "forget", "mark", "sweep", "sweep"])
        if action == "begin" and len(vault.running) < 3:
            vault.begin()
        elif action == "step" and vault.running:
            step(dice.choice([*vault.running]))
        elif action == "lose" and known:
            unknown.add(dice.choice(known))
            vault.before -= unknown
        elif action == "forget" and ended:
            vault.forget(dice.choice(ended))
        elif action == "mark" and vault.marked is None:
            vault.mark(dice.choice([0.0, 0.3]), running=tuple(known))
            vault.before -= unknown
        elif action == "sweep" and vault.may_sweep():
            assert vault.sweep()["kind"] == "done"
            vault.require_whole()
    for job in [*vault.running]:
        while job in vault.running:
            step(job)
    vault.require_whole()
    vault.prune()
    vault.require_whole()
