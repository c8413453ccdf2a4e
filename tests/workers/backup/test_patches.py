"""A backup after few changes stores what changed, and every snapshot comes back whole, whatever happens on the way."""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from repository.catalog import manifest_chain, read_manifest
from repository.check import EVERYTHING, check
from repository.layout import manifest_name
from repository.manifest import Manifest, Snapshot, WorkItem, WorkPatch
from repository.needed import needed
from repository.patch import MAX_DEPTH
from repository.walk import Walk
from sources.filesystem.files import FileReader
from sources.source import order_key
from tests.repository.conftest import Repo, repo
from tests.workers.backup.backing import Backing
from workers.backup.cut import LEAST_PATCHED
from workers.backup.segment import PatchOrder, SegmentWriter
from workers.backup.steps import BaseLost

__all__ = ["repo"]

DICE = random.Random(6)
FILES = 3 * LEAST_PATCHED


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Files that were not changed a moment ago, so that the clock tells them from changed ones."""
    folder = tmp_path / "source"
    for number in range(FILES):
        write(folder / f"{number // 100}" / f"file-{number:04d}", DICE.randbytes(500))
    return folder


@pytest.fixture
def backing(tmp_path: Path, repo: Repo, source: Path) -> Iterator[Backing]:
    made = Backing(tmp_path, repo, source)
    yield made
    made.close()


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    at = DICE.randrange(10**18)
    os.utime(path, ns=(at, at))


def on_disk(source: Path) -> dict[str, bytes]:
    return {str(path.relative_to(source)): path.read_bytes() for path in source.rglob("*") if path.is_file()}


def some(source: Path, count: int) -> list[Path]:
    return DICE.sample(sorted(path for path in source.rglob("*") if path.is_file()), count)


def the_one(backing: Backing, snapshot: Snapshot) -> Manifest:
    (manifest,) = backing.manifests(snapshot)
    return manifest


def edit(source: Path) -> None:
    """A handful of scattered changes of every kind."""
    changed, renamed, removed, touched = some(source, 4)
    write(changed, DICE.randbytes(700))
    renamed.rename(renamed.with_name(f"{renamed.name}-{DICE.randrange(1000)}"))
    removed.unlink()
    os.utime(touched, ns=(DICE.randrange(10**18),) * 2)
    write(source / "0" / f"new-{DICE.randrange(10**6)}", DICE.randbytes(300))


def test_ten_backups_with_scattered_changes_come_back_each(backing: Backing, source: Path) -> None:
    made = [(backing.backup(), on_disk(source))]
    depths = [0]
    for _ in range(10):
        edit(source)
        made.append((backing.backup(), on_disk(source)))
        depths.append(len(the_one(backing, made[-1][0]).bases))
    assert depths == [number % (MAX_DEPTH + 1) for number in range(11)]
    for snapshot, content in made:
        assert backing.contents(snapshot) == content
        assert snapshot.errors == []
    repo = backing.repo
    report = check(repo.subject, repo.room, EVERYTHING)
    assert (report.problems, report.snapshots, report.unused_manifests) == ([], 11, 0)
    with needed(repo.subject, repo.room, Walk()) as found:
        assert found.unreadable == 0 and set(repo.stored("manifests/")) <= set(found.names)


def test_few_changes_cost_little(backing: Backing, source: Path) -> None:
    repo = backing.repo

    def size_of(snapshot: Snapshot) -> int:
        names = [manifest_name(ref.id) for ref in snapshot.manifests]
        return sum(repo.store.size(name) for name in names)

    whole = size_of(backing.backup())
    (path,) = some(source, 1)
    write(path, DICE.randbytes(400))
    later = backing.backup()
    assert size_of(later) < 1000 < whole / 20
    manifest = the_one(backing, later)
    assert len(manifest.bases) == 1
    (stored, whole_one) = (
        found for _, found in manifest_chain(repo.store, repo.vault, repo.keys, later.manifests[0])
    )
    assert len(stored.chunk_lengths) == 1
    assert len(manifest.chunk_lengths) == 1 + len(whole_one.chunk_lengths)


def test_a_touched_file_keeps_its_data_in_a_patch(backing: Backing, source: Path) -> None:
    backing.backup()
    packs = backing.repo.stored("packs/")
    (path,) = some(source, 1)
    os.utime(path, ns=(1, 1))
    later = backing.backup()
    assert len(the_one(backing, later).bases) == 1
    assert backing.repo.stored("packs/") == packs
    assert backing.contents(later) == on_disk(source)


def test_many_changes_are_a_whole_manifest(backing: Backing, source: Path) -> None:
    backing.backup()
    for path in some(source, FILES // 2):
        write(path, DICE.randbytes(500))
    later = backing.backup()
    assert the_one(backing, later).bases == ()
    assert backing.contents(later) == on_disk(source)


def test_nothing_changed_keeps_a_patch_as_it_is(backing: Backing, source: Path) -> None:
    backing.backup()
    edit(source)
    second = backing.backup()
    third = backing.backup()
    assert third.manifests == second.manifests
    assert len(the_one(backing, third).bases) == 1


def test_patches_kept_and_whole_manifests_go_into_one_snapshot(
    backing: Backing, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.backup.cut.SEGMENT_ITEMS", LEAST_PATCHED)
    for number in range(FILES, 2 * FILES):
        write(source / "9" / f"file-{number:04d}", DICE.randbytes(500))
    assert len(backing.backup().manifests) > 5
    write(source / "0" / "file-0001", b"one change in the first manifest")
    for number in range(130, 200):
        write(source / "1" / f"file-{number:04d}", DICE.randbytes(500))
    (source / "9" / f"file-{2 * FILES - 200:04d}").unlink()
    later = backing.backup()
    assert backing.contents(later) == on_disk(source)
    depths = [len(manifest.bases) for manifest in backing.manifests(later)]
    # The last one is small.
    assert depths[0] == 1 and 0 in depths[1:3] and 1 in depths[3:], depths
    paths = [entry.path for manifest in backing.manifests(later) for entry in manifest.entries]
    assert paths == sorted(paths, key=order_key)
    repo = backing.repo
    assert check(repo.subject, repo.room).problems == []


@pytest.mark.parametrize("there_before", [True, False])
def test_what_cannot_be_read_any_more_is_not_as_it_was(
    backing: Backing, source: Path, there_before: bool
) -> None:
    first = backing.backup()
    path = some(source, 1)[0] if there_before else source / "0" / "newcomer"
    write(path, b"changed")
    later = backing.backup(between=path.unlink)
    name = os.fsencode(path)
    assert name in [each for each, _ in later.errors]
    assert backing.contents(later) == on_disk(source)
    if there_before:
        assert name in [entry.path for entry in the_one(backing, first).entries]
    assert name not in [entry.path for entry in the_one(backing, later).entries]


def test_a_patch_that_changes_nothing_is_the_base_itself(backing: Backing, source: Path) -> None:
    (ref,) = backing.backup().manifests
    repo = backing.repo
    base = read_manifest(repo.store, repo.vault, repo.keys, ref)
    newcomer = WorkItem(os.fsencode(source / "0" / "newcomer"), "f", 1, b"stamp")
    index = repo.loaded()
    writer = SegmentWriter(repo.stream(index), FileReader(), index, [base], lambda *_: None)
    found = writer.describe_patches([PatchOrder(WorkPatch(ref, [newcomer], []), base)])
    assert found.patches == [None]
    assert [path for path, _ in found.errors] == [newcomer.path]


@pytest.mark.parametrize("edited", [True, False])
def test_lost_chunks_are_stored_again_from_what_did_not_change(
    backing: Backing, source: Path, edited: bool
) -> None:
    backing.backup()
    repo = backing.repo
    for name in repo.stored("packs/") + repo.stored("index/"):
        repo.store.delete(name)
    if edited:
        write(some(source, 1)[0], b"changed")
    later = backing.backup()
    assert backing.contents(later) == on_disk(source)


def gone(backing: Backing, name: str) -> None:
    backing.repo.store.delete(name)


def damaged(backing: Backing, name: str) -> None:
    backing.repo.damage(name, lambda data: data[:-1] + bytes([data[-1] ^ 1]))


@pytest.mark.parametrize("harm", [gone, damaged])
def test_nothing_is_committed_on_a_base_that_was_lost(
    backing: Backing, source: Path, harm: Callable[[Backing, str], None]
) -> None:
    first = backing.backup()
    write(some(source, 1)[0], b"changed")
    name = manifest_name(first.manifests[0].id)
    with pytest.raises(BaseLost):
        backing.backup(between=lambda: harm(backing, name))
    assert len(backing.repo.stored("snapshots/")) == 1
    # The next job finds the manifest damaged when it is planned, and reads everything.
    later = backing.backup()
    assert the_one(backing, later).bases == ()
    assert backing.contents(later) == on_disk(source)


def test_a_backup_that_builds_on_missing_packs_says_so(backing: Backing, source: Path) -> None:
    """Nothing has changed, so that nothing is read: only the listing tells."""
    repo = backing.repo
    assert not backing.backup().errors
    (pack,) = repo.stored("packs/")
    repo.store.delete(pack)
    ((path, why),) = backing.backup().errors
    assert path == os.fsencode(source)
    assert "lacks 1 of the packs that its index names" in why
