"""Records of what `forget` removes: what they say, and that nobody takes them for anything else."""

import pytest

from crypto.header import Kind
from repository import layout
from repository.errors import RepositoryError
from repository.forgets import forgets, write_forget
from repository.manifest import Forgotten
from repository.objects import MAX_FORGOTTEN, put_struct
from repository.prunes import listed, read_struck, sweeps
from tests.repository.conftest import Repo

A, B, RECORD = b"a" * 16, b"b" * 16, b"R" * 16


def never(name: str, error: RepositoryError) -> None:
    raise AssertionError(name, error)


def test_what_is_written_is_read(repo: Repo) -> None:
    write_forget(repo.store, repo.vault, repo.keys, 2, 5_500, [B, A])
    write_forget(repo.store, repo.vault, repo.keys, 1, 7_000, [B])
    found = sorted(forgets(*repo.subject, never), key=lambda each: each.time_s)
    names = {layout.snapshot_name(A), layout.snapshot_name(B)}
    assert [(each.time_s, each.snapshots) for each in found] == [
        (5.5, names),
        (7.0, {layout.snapshot_name(B)}),
    ]


def test_a_record_is_no_mark_and_no_sweep(repo: Repo) -> None:
    write_forget(repo.store, repo.vault, repo.keys, 1, 5, [A])
    assert len(repo.stored(layout.PRUNES)) == 1
    assert listed(repo.store) == []
    assert list(sweeps(*repo.subject)) == []
    assert read_struck(*repo.subject).objects == frozenset()


@pytest.mark.parametrize("name", ["prunes/x/forgotten", f"prunes/{RECORD.hex()}/forgotten/x", "forgotten"])
def test_other_names_are_none_of_a_record(name: str) -> None:
    assert layout.forgotten_of(name) is None
    assert layout.forgotten_of(layout.forgotten_name(RECORD)) == RECORD


@pytest.mark.parametrize("ids", [b"a" * 15, B + A, A + A])
def test_ids_that_are_no_list_of_ids_are_refused(repo: Repo, ids: bytes) -> None:
    name = layout.forgotten_name(RECORD)
    header = repo.vault.header(Kind.FORGOTTEN, 1, RECORD)
    put_struct(repo.store, name, repo.keys.dek(1), header, Forgotten(5, ids), MAX_FORGOTTEN)
    damaged: list[str] = []
    assert list(forgets(*repo.subject, lambda name, _: damaged.append(name))) == []
    assert damaged == [name]
