"""A prune that was called off, and whose worker goes on all the same: no later prune loses anything by it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import workers.maintenance.prune as prunes
from crypto.job import PruneSpec, SweepSpec
from repository import layout
from repository.survey import Usage, survey
from tests.workers.maintenance.test_prune import Vault, only, vault
from workers.backup import plan
from workers.maintenance.prune import mark, sweep

__all__ = ["vault"]


def told_mark(vault: Vault, job: bytes, running: tuple[bytes, ...] = ()) -> Any:
    spec = PruneSpec(vault.repo.folder.as_uri(), vault.upkeep.requester, 0.0, running=running)
    return vault.upkeep.run(mark, spec, job=job)


def told_sweep(vault: Vault, job: bytes) -> Any:
    spec = SweepSpec(vault.repo.folder.as_uri(), vault.upkeep.requester, tuple(vault.ended))
    return vault.upkeep.run(sweep, spec, job=job)


def held_before_its_mark(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A prune does everything up to its mark and is called off; returns what its worker does then."""
    real, kept = prunes._mark, []
    monkeypatch.setattr(prunes, "_mark", lambda *args: kept.append(args))
    told_mark(vault, os.urandom(16))
    monkeypatch.setattr(prunes, "_mark", real)
    return lambda: real(*kept[0])


def test_a_late_mark_leaves_the_mark_of_a_newer_prune(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    vault.forget(vault.backup(only(vault, 0)))
    vault.backup(only(vault, 1))
    late = held_before_its_mark(vault, monkeypatch)
    newer = os.urandom(16)
    told_mark(vault, newer)
    late()
    assert told_sweep(vault, newer)["kind"] == "done"


def test_a_backup_beside_a_late_mark_still_sees_the_newer_one(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten = vault.backup(only(vault, 0))
    vault.backup(only(vault, 1))
    late = held_before_its_mark(vault, monkeypatch)
    vault.forget(forgotten)
    newer = os.urandom(16)
    told_mark(vault, newer)
    child: list[bytes] = []

    @contextmanager
    def surveyed(*args: Any) -> Iterator[Usage]:
        with survey(*args) as usage:
            late()
            child.append(vault.begin(only(vault, 0)))
            yield usage

    monkeypatch.setattr(prunes, "survey", surveyed)
    vault.marked = newer
    told_sweep(vault, newer)
    monkeypatch.setattr(prunes, "survey", survey)
    vault.finish(child[0])
    vault.require_whole()


def test_a_newer_mark_names_what_a_prune_that_was_called_off_may_still_remove(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.backup(only(vault, 1))
    dead = vault.begin(only(vault, 0))
    vault.step(dead)
    vault.die(dead)
    first = vault.mark()

    @contextmanager
    def surveyed(*args: Any) -> Iterator[Usage]:
        with survey(*args) as usage:
            monkeypatch.setattr(prunes, "survey", survey)
            running = vault.begin()
            told_mark(vault, os.urandom(16), running=(running,))
            vault.backing.source = vault.sources[2 if vault.busy[running] != vault.sources[2] else 1]
            vault.backup(only(vault, 0))
            yield usage

    monkeypatch.setattr(prunes, "survey", surveyed)
    told_sweep(vault, first)
    vault.require_whole()


def test_a_prune_that_was_called_off_and_begins_late_is_not_in_a_newer_ones_way(vault: Vault) -> None:
    """Its worker finds the newer one's mark, and takes it for one that came to nothing."""
    vault.forget(vault.backup(only(vault, 0)))
    vault.backup(only(vault, 1))
    newer, late = os.urandom(16), os.urandom(16)
    told_mark(vault, newer)
    told_mark(vault, late)
    told = told_sweep(vault, newer)
    assert (told["kind"], told["packs"]) == ("done", 1)
    assert vault.repo.stored(layout.PRUNES) == sorted([layout.mark_name(late), layout.sweep_name(newer)])
    vault.prune()
    vault.require_whole()
    vault.require_clean()


def test_a_mark_never_says_anything_else_under_the_same_name(vault: Vault) -> None:
    """What a process has read of it, it does not read again."""
    vault.forget(vault.backup(only(vault, 0)))
    kept = vault.backup(only(vault, 1))
    newer = os.urandom(16)
    told_mark(vault, newer)
    before = (vault.repo.folder / layout.mark_name(newer)).read_bytes()
    told_mark(vault, os.urandom(16))  # of a prune that was called off before its worker began
    vault.forget(kept)
    told_mark(vault, newer)  # its next attempt
    assert (vault.repo.folder / layout.mark_name(newer)).read_bytes() == before


def test_the_mark_of_a_prune_that_came_to_nothing_goes_with_the_next_one(vault: Vault) -> None:
    vault.forget(vault.backup(only(vault, 0)))
    vault.backup(only(vault, 1))
    told_mark(vault, os.urandom(16))
    vault.prune()
    vault.require_whole()
    vault.require_clean()


def test_a_prune_whose_mark_was_removed_says_so_and_removes_nothing(vault: Vault) -> None:
    vault.forget(vault.backup(only(vault, 0)))
    vault.backup(only(vault, 1))
    prune = os.urandom(16)
    told_mark(vault, prune)
    vault.repo.store.delete(layout.mark_name(prune))
    before = vault.names()
    told = told_sweep(vault, prune)
    assert (told["kind"], told["code"], told["remedy"]) == ("failed", "superseded", "prune again")
    assert vault.names() == before


@pytest.mark.parametrize("planned", [False, True])
def test_messages_of_a_prune_that_another_took_the_place_of_do_nothing(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, planned: bool
) -> None:
    """A backup has looked, and found no mark; then the old prune is told to mark and to sweep once more."""
    old = vault.backup(only(vault, 0))
    vault.backup(only(vault, 1))
    replaced = os.urandom(16)
    told_mark(vault, replaced)
    vault.prune()
    vault.forget(old)
    hand_out = plan._hand_out

    def marked_first(*args: Any, **more: Any) -> Any:
        if not planned:
            told_mark(vault, replaced)
        return hand_out(*args, **more)

    monkeypatch.setattr(plan, "_hand_out", marked_first)
    backup = vault.begin(only(vault, 0))
    if planned:
        told_mark(vault, replaced)
    assert told_sweep(vault, replaced)["packs"] == 0
    vault.finish(backup)
    vault.require_whole()
