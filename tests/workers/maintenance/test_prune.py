"""Pruning with the real steps of real jobs: whatever runs beside it, every snapshot restores; nothing idle is left."""

import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from typing_extensions import Buffer

from crypto.job import ForgetSpec, PruneSpec, SweepSpec
from crypto.ticket import DECRYPT, ENCRYPT, FORGET
from repository import layout
from repository.catalog import read_snapshot
from repository.check import Reading, check
from repository.directory import DirectoryPruner
from repository.errors import StoreUnreachable
from repository.index import read_index, write_indexes
from repository.manifest import PackSummary, Snapshot
from repository.pack import read_table
from repository.retry import RetryPolicy
from repository.usage import Subject
from tests.repository.conftest import Repo
from tests.workers.backup.backing import Backing
from tests.workers.maintenance.upkeep import Upkeep
from workers.maintenance.forget import forget
from workers.maintenance.prune import mark, sweep

KINDS = (layout.PACKS, layout.MANIFESTS, layout.SNAPSHOTS)
Tree = dict[str, bytes]


class Vault:
    """One vault, with the scheduler's part played by the test.

    Jobs that begin, and run step by step beside others; and a prune, of which the sweep waits as the scheduler has it.
    """

    def __init__(self, backing: Backing, upkeep: Upkeep, seed: int = 0) -> None:
        self.backing = backing
        self.upkeep = upkeep
        self.room = upkeep.root / "room"
        self.repo: Repo = backing.repo
        self.random = random.Random(seed)
        self.pool = [self.random.randbytes(300_000 + 40_000 * n) for n in range(6)]
        self.trees: dict[bytes, Tree] = {}
        """Content by job, as it was when the job was planned."""
        self.running: dict[bytes, Iterator[str]] = {}
        self.sources = [backing.source / str(number) for number in range(3)]
        self.busy: dict[bytes, Path] = {}
        """The source of each running job: it must not change meanwhile."""
        for source in self.sources:
            source.mkdir()
        self.ended: list[bytes] = []
        self.marked: bytes | None = None
        self.before: set[bytes] = set()
        """Jobs that began before the mark was there."""

    def change(self) -> Tree:
        """Some of a few contents under some of a few names, so that all of them come and go again and again."""
        source = self.backing.source
        for file in source.iterdir():
            file.unlink()
        tree = {}
        for number in self.random.sample(range(4), self.random.randrange(1, 4)):
            tree[f"f{number}"] = self.random.choice(self.pool)
            (source / f"f{number}").write_bytes(tree[f"f{number}"])
        return tree

    def begin(self, tree: Tree | None = None) -> bytes:
        job = os.urandom(16)
        if tree is None:
            free = [source for source in self.sources if source not in self.busy.values()]
            self.backing.source = self.busy[job] = self.random.choice(free)
        self.trees[job] = self.change() if tree is None else tree
        self.running[job] = self.backing.steps(job)
        next(self.running[job])
        return job

    def step(self, job: bytes) -> None:
        if next(self.running[job]) == "committed":
            del self.running[job]
            self.busy.pop(job, None)
            self.ended.append(job)

    def finish(self, job: bytes) -> bytes:
        while job in self.running:
            self.step(job)
        return job

    def backup(self, tree: Tree | None = None) -> bytes:
        return self.finish(self.begin(tree))

    def die(self, job: bytes) -> None:
        """The scheduler gives the job up; its workers are gone, or will be found to be."""
        self.running.pop(job)
        self.busy.pop(job, None)
        self.ended.append(job)
        del self.trees[job]

    def forget(self, *jobs: bytes) -> None:
        spec = ForgetSpec(self.repo.folder.as_uri(), self.upkeep.requester, tuple(job.hex() for job in jobs))
        assert self.upkeep.run(forget, spec)["kind"] == "done"
        for job in jobs:
            del self.trees[job]

    def mark(
        self,
        max_unused: float = 0.0,
        job: bytes = b"",
        fence: int = 1,
        running: tuple[bytes, ...] | None = None,
    ) -> bytes:
        self.marked = job or os.urandom(16)
        running = tuple(self.running) if running is None else running
        spec = PruneSpec(self.repo.folder.as_uri(), self.upkeep.requester, max_unused, running=running)
        told = self.upkeep.run(mark, spec, job=self.marked, fence=fence)
        assert told["kind"] == "planned", told
        self.before = set(self.running)
        return self.marked

    def may_sweep(self) -> bool:
        """What scheduler/prunes.py decides."""
        return self.marked is not None and self.before.isdisjoint(self.running)

    def sweep(self, fence: int = 1) -> dict[str, object]:
        assert self.marked is not None
        spec = SweepSpec(self.repo.folder.as_uri(), self.upkeep.requester, tuple(self.ended))
        told = self.upkeep.run(sweep, spec, job=self.marked, fence=fence)
        if told["kind"] == "done":
            self.marked = None
        return told

    def prune(self, max_unused: float = 0.0) -> dict[str, object]:
        self.mark(max_unused)
        told = self.sweep()
        assert told["kind"] == "done", told
        return told

    def snapshot(self, job: bytes) -> Snapshot:
        return read_snapshot(self.repo.store, self.repo.vault, self.repo.keys, job)

    def require_whole(self) -> None:
        """Every snapshot of a job that ended well is there and restores."""
        for job, tree in self.trees.items():
            if job not in self.running:
                assert self.backing.contents(self.snapshot(job)) == tree
        there = {name.rpartition("/")[2] for name in self.repo.stored(layout.SNAPSHOTS)}
        assert there >= {job.hex() for job in self.trees if job not in self.running}

    def require_clean(self) -> None:
        """Nothing is left that no snapshot needs, and nothing is wrong."""
        subject = Subject(self.repo.store, self.repo.vault, self.repo.keys)
        found = check(subject, self.room, Reading(data=True))
        assert found.problems == []
        assert (found.unused_packs, found.unused_manifests, found.unused_chunks) == (0, 0, 0)
        stored = {layout.id_of(name) for name in self.repo.stored(layout.PACKS)}
        named = [pack.id for name in self.repo.stored(layout.INDEX) for pack in self.index_of(name)]
        assert set(named) == stored
        assert not [name for name in self.repo.stored(layout.PRUNES) if name.endswith("/mark")]

    def index_of(self, name: str) -> list[PackSummary]:
        repo = self.repo
        return list(read_index(repo.store, repo.vault, repo.keys, layout.id_of(name)))

    def names(self) -> dict[str, set[str]]:
        return {kind: set(self.repo.stored(kind)) for kind in KINDS}


@pytest.fixture
def vault(backing: Backing, upkeep: Upkeep) -> Vault:
    made = Vault(backing, upkeep)
    backing.source = made.sources[0]
    return made


def only(vault: Vault, number: int) -> Tree:
    """A tree of one file with content `number` of the pool."""
    for file in vault.backing.source.iterdir():
        file.unlink()
    (vault.backing.source / "only").write_bytes(vault.pool[number])
    return {"only": vault.pool[number]}


def test_what_was_forgotten_is_freed_and_nothing_else(vault: Vault) -> None:
    gone, kept = vault.backup(only(vault, 0)), vault.backup(only(vault, 1))
    before = vault.names()
    told = vault.prune()
    assert (told["packs"], told["manifests"]) == (0, 0)
    assert vault.names() == before
    vault.forget(gone)
    told = vault.prune()
    assert (told["packs"], told["manifests"], told["snapshots"]) == (1, 1, 1)
    vault.require_whole()
    vault.require_clean()
    assert kept in vault.trees


def test_a_dry_run_changes_nothing(vault: Vault) -> None:
    vault.forget(vault.backup(only(vault, 0)))
    before = set(vault.repo.stored(""))
    spec = PruneSpec(vault.repo.folder.as_uri(), vault.upkeep.requester, 0.0, dry_run=True)
    told = vault.upkeep.run(mark, spec)
    assert (told["kind"], told["packs"], told["manifests"], told["dry_run"]) == ("done", 1, 1, True)
    assert set(vault.repo.stored("")) == before


def test_a_mark_removes_nothing(vault: Vault) -> None:
    vault.forget(vault.backup(only(vault, 0)))
    before = set(vault.repo.stored(""))
    prune = vault.mark()
    assert set(vault.repo.stored("")) == before | {layout.mark_name(prune)}


def test_what_is_used_of_a_pack_moves_when_too_little_is(vault: Vault) -> None:
    source = vault.backing.source
    for number in range(4):
        (source / f"f{number}").write_bytes(vault.random.randbytes(3_000_000))
    first = vault.begin({file.name: file.read_bytes() for file in source.iterdir()})
    vault.finish(first)
    for number in range(1, 4):
        (source / f"f{number}").unlink()
    vault.backup({"f0": (source / "f0").read_bytes()})
    vault.forget(first)
    before = set(vault.repo.stored(layout.PACKS))
    assert vault.prune(max_unused=0.9)["packs"] == 0
    assert set(vault.repo.stored(layout.PACKS)) == before
    assert vault.prune(max_unused=0.05)["packs"] == 1
    assert before.isdisjoint(vault.repo.stored(layout.PACKS))
    vault.require_whole()
    vault.require_clean()


def test_what_a_job_of_before_the_mark_has_come_to_need_stays(vault: Vault) -> None:
    old = vault.backup(only(vault, 0))
    vault.backup(only(vault, 1))
    late = vault.begin(only(vault, 0))
    vault.forget(old)
    vault.mark()
    assert not vault.may_sweep()
    vault.finish(late)
    assert vault.may_sweep()
    told = vault.sweep()
    assert told["packs"] == 0, "it found the chunks stored, and refers to them"
    vault.require_whole()


def test_a_job_that_begins_after_the_mark_relies_on_nothing_marked(vault: Vault) -> None:
    vault.forget(vault.backup(only(vault, 0)))
    vault.mark()
    vault.finish(vault.begin(only(vault, 0)))
    assert vault.may_sweep()
    assert vault.sweep()["packs"] == 1
    vault.require_whole()
    vault.require_clean()


def test_a_job_that_begins_after_the_mark_is_not_in_the_sweeps_way(vault: Vault) -> None:
    vault.forget(vault.backup(only(vault, 0)))
    vault.mark()
    held = vault.begin(only(vault, 0))
    assert vault.may_sweep()
    assert vault.sweep()["packs"] == 1
    vault.finish(held)
    vault.require_whole()


@pytest.mark.parametrize("told", [True, False])
def test_not_even_a_parent_leads_to_what_is_marked(vault: Vault, told: bool) -> None:
    """Its snapshot came after the mark; it is forgotten again while the next backup goes on from it."""
    first = vault.backup(only(vault, 0))
    # Elsewhere, so that the parent's chunks are needed and its manifest is not.
    vault.backing.source = vault.sources[1]
    vault.backup(only(vault, 2))
    vault.backing.source = vault.sources[0]
    parent = vault.begin(only(vault, 2))
    vault.step(parent)
    vault.forget(first)
    vault.mark(running=None if told else ())
    vault.finish(parent)
    child = vault.begin(vault.trees[parent])
    vault.forget(parent)
    assert vault.may_sweep()
    vault.sweep()
    vault.finish(child)
    vault.require_whole()


def test_what_a_dead_attempt_left_is_freed_and_not_adopted_once_it_is_marked(vault: Vault) -> None:
    vault.backup(only(vault, 1))
    dead = vault.begin(only(vault, 0))
    vault.step(dead)
    vault.die(dead)
    vault.mark()
    held = vault.begin(only(vault, 0))
    assert vault.sweep()["packs"] == 1
    vault.finish(held)
    vault.require_whole()


def test_a_worker_of_an_ended_job_that_wakes_up_late_commits_nothing(vault: Vault) -> None:
    vault.backup(only(vault, 1))
    dead = vault.begin(only(vault, 0))
    vault.step(dead)
    steps = vault.running[dead]
    vault.die(dead)
    vault.prune()
    with pytest.raises(Exception, match="its job was over"):
        next(steps)
    # It has written its index object, which names a pack that is gone: nobody believes it.
    vault.backup(only(vault, 0))
    vault.require_whole()
    assert dead.hex() not in {snapshot.hex() for snapshot in vault.trees}
    vault.prune()
    vault.require_clean()


def test_a_forgotten_snapshot_does_not_come_back_by_a_late_message(vault: Vault) -> None:
    job = os.urandom(16)
    vault.trees[job] = only(vault, 0)
    steps = vault.backing.steps(job, last_steps=2)
    while next(steps) != "committed":
        pass
    vault.ended.append(job)
    vault.forget(job)
    vault.prune()
    with pytest.raises(Exception, match="its job was over"):
        next(steps)
    assert vault.repo.stored(layout.SNAPSHOTS) == [layout.snapshot_name(job)], "a void"


def test_what_cannot_be_read_stops_a_prune(vault: Vault) -> None:
    vault.forget(vault.backup(only(vault, 0)))
    vault.backup(only(vault, 1))
    prune = vault.mark()
    for prefix in (layout.SNAPSHOTS, layout.INDEX):
        name = vault.repo.stored(prefix)[-1]
        good = (vault.repo.folder / name).read_bytes()
        vault.repo.damage(name, lambda data: data[:-1] + bytes([data[-1] ^ 1]))
        before = set(vault.repo.stored(""))
        assert vault.sweep()["code"] == "not-certain"
        spec = PruneSpec(vault.repo.folder.as_uri(), vault.upkeep.requester, 0.0)
        assert vault.upkeep.run(mark, spec)["code"] == "not-certain"
        assert before <= set(vault.repo.stored(""))
        (vault.repo.folder / name).write_bytes(good)
    assert vault.marked == prune
    assert vault.sweep()["packs"] == 1


def test_a_needed_pack_that_is_lost_stops_a_prune(vault: Vault) -> None:
    vault.backup(only(vault, 1))
    vault.repo.store.delete(vault.repo.stored(layout.PACKS)[0])
    spec = PruneSpec(vault.repo.folder.as_uri(), vault.upkeep.requester, 0.0)
    assert vault.upkeep.run(mark, spec)["code"] == "not-certain"


def test_a_lost_pack_that_nothing_needs_is_no_longer_relied_on(vault: Vault) -> None:
    lost = vault.backup(only(vault, 0))
    vault.repo.store.delete(vault.repo.stored(layout.PACKS)[0])
    vault.backup(only(vault, 1))
    vault.forget(lost)
    vault.prune()
    vault.backup(only(vault, 0))
    vault.require_whole()
    vault.require_clean()


def test_without_the_ticket_for_it_nothing_is_marked_or_swept(vault: Vault) -> None:
    vault.forget(vault.backup(only(vault, 0)))
    prune = vault.mark()
    before = set(vault.repo.stored(""))
    repo, me = vault.repo.folder.as_uri(), vault.upkeep.requester
    operations = (DECRYPT, ENCRYPT, FORGET)
    for step, spec in ((mark, PruneSpec(repo, me, 0.0)), (sweep, SweepSpec(repo, me, ()))):
        assert vault.upkeep.run(step, spec, job=prune, operations=operations)["code"] == "out-of-scope"
    assert set(vault.repo.stored("")) == before


def test_a_pack_that_only_a_late_worker_names_is_struck_until_the_index_is_rid_of_it(vault: Vault) -> None:
    job = vault.backup(only(vault, 0))
    repo = vault.repo
    (pack,) = repo.stored(layout.PACKS)
    table = read_table(repo.store, repo.vault, repo.keys, layout.id_of(pack))
    vault.forget(job)
    vault.prune()
    write_indexes(repo.store, repo.vault, repo.keys, 1, b"z" * 16, 1, [table])
    vault.backup(only(vault, 0))
    vault.require_whole()
    vault.prune()
    vault.require_clean()


def test_a_prune_that_breaks_off_anywhere_is_gone_on_with(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each change of the store: the next attempt finds what is left, and does it."""
    for number in range(2):
        vault.forget(vault.backup(only(vault, number)))
        vault.backup(only(vault, 3 + number))
    vault.mark()
    put, delete, left = DirectoryPruner.put, DirectoryPruner.delete, [0]

    def count() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise StoreUnreachable("it breaks off here")

    def put_counted(self: DirectoryPruner, name: str, parts: Sequence[Buffer]) -> None:
        count()
        put(self, name, parts)

    def delete_counted(self: DirectoryPruner, name: str) -> None:
        count()
        delete(self, name)

    monkeypatch.setattr(DirectoryPruner, "put", put_counted)
    monkeypatch.setattr(DirectoryPruner, "delete", delete_counted)
    monkeypatch.setattr(RetryPolicy, "run", lambda _, call: call(0))
    attempts = 0
    while vault.marked is not None:
        left[0] = attempts
        attempts += 1
        vault.sweep(fence=attempts)
        left[0] = 10**6
        # What it was about to remove, or has removed, is stored again.
        vault.backup(only(vault, attempts % 2))
        vault.require_whole()
    assert attempts > 4, "it never broke off"
    vault.prune()
    vault.require_whole()
    vault.require_clean()


@pytest.mark.parametrize("seed", range(12))
def test_whatever_runs_beside_it_every_snapshot_restores(backing: Backing, upkeep: Upkeep, seed: int) -> None:
    vault = Vault(backing, upkeep, seed)
    dice = vault.random
    for _ in range(45):
        ended = [job for job in vault.trees if job not in vault.running]
        action = dice.choice(["begin", "step", "step", "step", "die", "forget", "mark", "sweep", "sweep"])
        if action == "begin" and len(vault.running) < 3:
            vault.begin()
        elif action == "step" and vault.running:
            vault.step(dice.choice([*vault.running]))
        elif action == "die" and vault.running and dice.random() < 0.4:
            vault.die(dice.choice([*vault.running]))
        elif action == "forget" and ended:
            vault.forget(dice.choice(ended))
        elif action == "mark" and (vault.marked is None or dice.random() < 0.1):
            vault.mark(dice.choice([0.0, 0.3]), running=dice.choice([None, ()]))
        elif action == "sweep" and vault.may_sweep():
            assert vault.sweep()["kind"] == "done"
            vault.require_whole()
    for job in [*vault.running]:
        vault.finish(job)
    vault.require_whole()
    vault.prune()
    vault.require_whole()
    vault.require_clean()
