"""Marks, sweeps and voids: what they say comes back, and nobody takes one for another."""

from typing import TYPE_CHECKING

import pytest

from crypto.header import Kind
from repository.catalog import is_damage, read_snapshot, read_snapshots
from repository.errors import (
    FormatError,
    ObjectDamaged,
    ObjectExists,
    RepositoryError,
    SnapshotVoid,
    WrongObject,
)
from repository.layout import mark_name, plan_name, prune_of, snapshot_name, sweep_name, work_name
from repository.manifest import Doomed
from repository.measure import MeasuredReader, Meter
from repository.objects import MAX_PRUNE, put_struct
from repository.prunes import (
    Mark,
    Names,
    read_mark,
    read_struck,
    read_sweep,
    read_void,
    sweeps,
    write_mark,
    write_sweep,
    write_void,
)

if TYPE_CHECKING:
    from tests.repository.conftest import Repo

PRUNE, OTHER = b"P" * 16, b"O" * 16
NAMES = Names(frozenset({b"a" * 16, b"b" * 16}), frozenset({b"m" * 24}))


def test_a_mark_and_a_sweep_come_back(repo: "Repo") -> None:
    where = (repo.store, repo.vault, repo.keys)
    write_mark(*where, 1, PRUNE, 5, NAMES, older=[OTHER])
    write_sweep(*where, 1, OTHER, 6, Names(frozenset({b"c" * 16}), frozenset()))
    assert read_mark(*where, PRUNE) == Mark(NAMES, frozenset(), frozenset({OTHER}))
    assert [(name, time) for name, time, _ in sweeps(*where)] == [(sweep_name(OTHER), 6)]
    struck = read_struck(*where)
    assert struck.objects == {mark_name(PRUNE), sweep_name(OTHER)}
    assert struck.packs == {b"a" * 16, b"b" * 16, b"c" * 16}
    assert struck.manifests == NAMES.manifests
    assert read_struck(*where, swept_only=True).packs == {b"c" * 16}


def test_a_mark_names_the_jobs_that_had_working_objects_before(repo: "Repo") -> None:
    where = (repo.store, repo.vault, repo.keys)
    planned, half = b"j" * 16, b"h" * 16
    for name in (
        plan_name(planned),
        work_name(planned, 1, 0),
        work_name(half, 1, 0),
        "jobs/stray",
        "jobs/ab/plan",
    ):
        repo.store.put(name, [b"x"])
    write_mark(*where, 1, PRUNE, 5, NAMES)
    repo.store.put(plan_name(OTHER), [b"x"])
    assert read_mark(*where, PRUNE) == Mark(NAMES, frozenset({planned, half}), frozenset())


def test_a_mark_is_made_once(repo: "Repo") -> None:
    write_mark(repo.store, repo.vault, repo.keys, 1, PRUNE, 5, NAMES)
    with pytest.raises(ObjectExists):
        write_mark(repo.store, repo.vault, repo.keys, 1, PRUNE, 6, Names(frozenset(), frozenset()))


def test_what_is_known_is_not_read_again(repo: "Repo") -> None:
    where = (repo.store, repo.vault, repo.keys)
    write_mark(*where, 1, PRUNE, 5, NAMES)
    known = read_struck(*where)
    assert read_struck(*where, known=known) is known
    write_sweep(*where, 1, PRUNE, 5, NAMES)
    both = read_struck(*where, known=known)
    assert both.objects == {mark_name(PRUNE), sweep_name(PRUNE)}
    repo.store.delete(mark_name(PRUNE))
    assert read_struck(*where, known=both).objects == {sweep_name(PRUNE)}


@pytest.mark.parametrize("other", [mark_name(OTHER), sweep_name(PRUNE)])
def test_a_mark_under_another_name_is_refused(repo: "Repo", other: str) -> None:
    write_mark(repo.store, repo.vault, repo.keys, 1, PRUNE, 5, NAMES)
    repo.store.put(other, [repo.store.get(mark_name(PRUNE), MAX_PRUNE)])
    with pytest.raises(WrongObject):
        read_struck(repo.store, repo.vault, repo.keys)


@pytest.mark.parametrize(
    ("packs", "manifests"),
    [(b"a" * 15, b""), (b"b" * 16 + b"a" * 16, b""), (b"a" * 32, b""), (b"", b"m" * 25), (b"", b"m" * 48)],
)
def test_ids_that_are_no_list_of_ids_are_refused(repo: "Repo", packs: bytes, manifests: bytes) -> None:
    header = repo.vault.header(Kind.SWEEP, 1, PRUNE)
    put_struct(
        repo.store, sweep_name(PRUNE), repo.keys.dek(1), header, Doomed(5, packs, manifests), MAX_PRUNE
    )
    with pytest.raises(ObjectDamaged):
        read_sweep(repo.store, repo.vault, repo.keys, PRUNE)


@pytest.mark.parametrize("name", ["prunes/x/mark", f"prunes/{PRUNE.hex()}", f"prunes/{PRUNE.hex()}/plan"])
def test_a_stray_name_among_them_is_refused(repo: "Repo", name: str) -> None:
    with pytest.raises(ObjectDamaged):
        prune_of(name)
    repo.store.put(name, [b"x"])
    with pytest.raises(FormatError):
        read_struck(repo.store, repo.vault, repo.keys)


def test_one_that_cannot_be_read_is_not_passed_over(repo: "Repo") -> None:
    write_mark(repo.store, repo.vault, repo.keys, 1, PRUNE, 5, NAMES)
    repo.damage(mark_name(PRUNE), lambda data: data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ObjectDamaged):
        read_struck(repo.store, repo.vault, repo.keys)


def test_a_mark_that_goes_while_they_are_read_is_followed_by_its_sweep(repo: "Repo") -> None:
    where = (repo.store, repo.vault, repo.keys)
    write_mark(*where, 1, PRUNE, 5, NAMES)

    class Late:
        """Its first listing is older than the end of a prune."""

        def list(self, prefix: str) -> list[str]:
            names = repo.stored(prefix)
            if names == [mark_name(PRUNE)]:
                write_sweep(*where, 1, PRUNE, 6, NAMES)
                repo.store.delete(mark_name(PRUNE))
            return names

        def __getattr__(self, name: str) -> object:
            return getattr(repo.store, name)

    assert read_struck(Late(), repo.vault, repo.keys).packs == NAMES.packs  # type: ignore[arg-type]


def test_a_void_keeps_a_snapshot_from_coming_about_and_is_none(repo: "Repo") -> None:
    where = (repo.store, repo.vault, repo.keys)
    there = repo.backup({b"/a": b"a"}, 1)
    assert write_void(*where, 1, PRUNE, 7)
    assert not write_void(*where, 1, PRUNE, 8)
    assert not write_void(*where, 1, there.id, 8), "a snapshot that is there stays"
    assert read_void(*where, PRUNE).time_ms == 7
    damaged: list[str] = []
    voids: list[bytes] = []
    found = read_snapshots(*where, lambda name, _: damaged.append(name), voids.append)
    assert ([each.id for each in found], damaged, voids) == ([there.id], [], [PRUNE])
    with pytest.raises(SnapshotVoid) as caught:
        read_snapshot(*where, PRUNE)
    assert not is_damage(repo.store, snapshot_name(PRUNE), caught.value)


def test_a_void_costs_a_reader_one_request(repo: "Repo") -> None:
    where = (repo.store, repo.vault, repo.keys)
    write_void(*where, 1, PRUNE, 7)
    meter = Meter()
    assert read_snapshots(MeasuredReader(repo.store, meter), *where[1:], lambda *_: None) == []
    assert meter.read()["get"].operations == 1
    assert set(meter.read()) <= {"get", "list"}


def test_what_only_looks_like_a_void_is_damage(repo: "Repo") -> None:
    where = (repo.store, repo.vault, repo.keys)
    write_void(*where, 1, PRUNE, 7)
    repo.damage(snapshot_name(PRUNE), lambda data: data[:-1] + bytes([data[-1] ^ 1]))
    told: list[tuple[str, RepositoryError]] = []
    assert read_snapshots(*where, lambda name, error: told.append((name, error))) == []
    assert [name for name, _ in told] == [snapshot_name(PRUNE)]
