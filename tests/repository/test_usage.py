"""What index objects name and what snapshots use: each object read once, each damage told, none taken for another."""

import random
from typing import TYPE_CHECKING

from repository import layout
from repository.access import KeyRing
from repository.catalog import read_manifest
from repository.census import Census
from repository.errors import RepositoryError
from repository.manifest import ManifestRef, Snapshot
from repository.measure import MeasuredReader, Meter
from repository.usage import (
    Keyed,
    NotedKeys,
    Subject,
    chunk_at,
    enter_uses,
    indexed_packs,
    snapshots,
)
from repository.walk import Far, Walk

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repository.conftest import Repo

DICE = random.Random(9)
FILES = {b"/%d" % number: DICE.randbytes(9000) for number in range(4)}


def enter(
    repo: "Repo", found: list[Snapshot], folder: "Path", keyed: Keyed
) -> tuple[dict[bytes, set[int]], list[tuple[int, ManifestRef, RepositoryError]], Meter, list[Far]]:
    """Keys of manifests by chunk, what was lost, what was read, and how far it was."""
    meter = Meter()
    told: list[Far] = []
    lost: list[tuple[int, ManifestRef, RepositoryError]] = []
    subject = Subject(MeasuredReader(repo.store, meter), repo.vault, repo.keys)
    with Census(folder, Walk()) as census:
        count = enter_uses(
            subject, iter(found), census, Walk(told.append), keyed.key_of, lambda *each: lost.append(each)
        )
        assert count == len(found)
        uses = {chunk.id: {key for key, _ in chunk.uses} for chunk in census.chunks()}
    return uses, lost, meter, told


def test_a_manifest_that_snapshots_share_is_read_once(repo: "Repo", tmp_path: "Path") -> None:
    first = repo.backup(FILES, 1)
    second = repo.commit(first.manifests, 2)
    keyed = Keyed()
    uses, lost, meter, told = enter(repo, [first, second], tmp_path, keyed)
    (ref,) = first.manifests
    manifest = read_manifest(repo.store, repo.vault, repo.keys, ref)
    every = {chunk_at(manifest, number) for number in range(len(manifest.chunk_lengths))}
    assert uses == {chunk_id: {keyed.key_of(ref)} for chunk_id in every}
    assert (lost, meter.read()["get"].operations) == ([], 1)
    assert told[-1].objects == told[-1].all_objects == 3


def test_a_manifest_that_cannot_be_read_is_told_and_the_others_are_entered(
    repo: "Repo", tmp_path: "Path"
) -> None:
    good, bad = repo.backup(FILES, 1), repo.backup({b"/other": DICE.randbytes(9000)}, 2)
    repo.damage(layout.manifest_name(bad.manifests[0].id), lambda data: data[:-1])
    keyed = Keyed()
    uses, lost, *_ = enter(repo, [bad, good], tmp_path, keyed)
    assert [(key, ref) for key, ref, _ in lost] == [(keyed.key_of(bad.manifests[0]), bad.manifests[0])]
    assert {key for keys in uses.values() for key in keys} == {keyed.key_of(good.manifests[0])}


def test_snapshots_that_are_damaged_are_told_and_those_forgotten_meanwhile_are_not(repo: "Repo") -> None:
    made = [repo.backup(FILES, number) for number in (1, 2, 3)]
    names = repo.stored(layout.SNAPSHOTS)
    repo.damage(names[0], lambda data: data[:-1])
    repo.store.delete(names[1])
    told: list[str] = []
    found = list(snapshots(repo.subject, names, lambda name, _: told.append(name)))
    assert found == [made[2]]
    assert told == [names[0]]


def test_index_objects_that_are_damaged_are_told_and_count_as_looked_at(repo: "Repo") -> None:
    for number in (1, 2):
        repo.backup({b"/a": random.Random(number).randbytes(9000)}, number)
    names = repo.stored(layout.INDEX)
    repo.damage(names[0], lambda data: data[:-1])
    told: list[str] = []
    far: list[Far] = []
    found = list(indexed_packs(repo.subject, names, Walk(far.append), lambda name, _: told.append(name)))
    assert [name for name, _ in found] == [names[1]]
    assert told == [names[0]]
    assert far[-1].objects == 2


def test_keys_of_references_are_of_one_run_and_of_all_that_a_reference_says(repo: "Repo") -> None:
    (ref,) = repo.backup(FILES, 1).manifests
    keyed = Keyed()
    assert keyed.key_of(ref) == keyed.key_of(
        ManifestRef(*[getattr(ref, name) for name in ref.__struct_fields__])
    )
    assert 0 <= keyed.key_of(ref) < 1 << 64
    assert Keyed().key_of(ref) != keyed.key_of(ref)
    (other,) = repo.backup({b"/more": b"x"}, 2).manifests
    assert keyed.key_of(other) != keyed.key_of(ref)


def test_only_epochs_whose_key_was_had_are_noted(repo: "Repo") -> None:
    class Refusing:
        def dek(self, epoch: int) -> object:
            if epoch == 2:
                raise RepositoryError("no such key")
            return repo.keys.dek(epoch)

        def chunk_id_key(self) -> object:
            return repo.keys.chunk_id_key()

    keys: KeyRing = Refusing()  # type: ignore[assignment]
    noted = NotedKeys(keys)
    noted.chunk_id_key()
    assert noted.epochs == set()
    for epoch in (1, 2):
        try:
            noted.dek(epoch)
        except RepositoryError:
            continue
    assert noted.epochs == {1}
