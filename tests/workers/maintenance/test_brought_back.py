"""What a prune removed is brought back from a copy, and counts when its sweep is gone, and not before."""

import shutil
from pathlib import Path

from repository import layout
from repository.check import check
from tests.workers.maintenance.test_prune import Vault, only, vault

__all__ = ["vault"]


def bring_back(vault: Vault, copy: Path, *prefixes: str) -> None:
    """What is not there."""
    for prefix in prefixes:
        for path in sorted((copy / prefix).rglob("*")):
            target = vault.repo.folder / path.relative_to(copy)
            if path.is_file() and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, target)


def test_what_a_prune_removed_is_used_again_when_its_sweep_is_gone(vault: Vault, tmp_path: Path) -> None:
    """The recipe of docs/operations.md, but that the sweep goes last, so that it is seen what it does."""
    gone = vault.backup(only(vault, 0))
    tree = vault.trees[gone]
    vault.backup(only(vault, 1))
    copy, repo = tmp_path / "copy", vault.repo
    shutil.copytree(repo.folder, copy)
    vault.forget(gone)
    vault.prune()
    (sweep,) = repo.stored(layout.PRUNES)
    bring_back(vault, copy, layout.PACKS, layout.INDEX, layout.MANIFESTS)
    shutil.copy2(copy / layout.snapshot_name(gone), repo.folder / layout.snapshot_name(gone))
    report = check(repo.subject, vault.room)
    assert {problem.object for problem in report.problems} < set(repo.stored(layout.PACKS))
    assert {loss.snapshot for loss in report.losses} == {gone}
    repo.store.delete(sweep)
    assert check(repo.subject, vault.room).problems == []
    vault.trees[gone] = tree
    vault.require_whole()
    vault.backup(only(vault, 0))
    vault.prune()
    vault.require_whole()
    vault.require_clean()
