"""One segment's items: what cannot be read is named and left out, what did not change is not read."""

import os
import time
from pathlib import Path

import pytest

from repository.errors import StoreUnreachable
from repository.index import ChunkIndex, Index
from repository.manifest import Manifest, WorkItem
from sources.filesystem.files import FileReader
from sources.filesystem.stamps import TICK_NS
from sources.filesystem.walk import walk
from sources.patterns import Patterns
from tests.repository.conftest import Repo
from workers.backup.segment import Outcome, SegmentWriter


def items(folder: Path) -> list[WorkItem]:
    def fail(path: bytes, why: str) -> None:
        raise AssertionError(path, why)

    return [WorkItem(*found) for found in walk([os.fsencode(folder)], Patterns.parse(()), fail, fail)]


def describe(
    repo: Repo, wanted: list[WorkItem], parents: tuple[Manifest, ...] = (), index: ChunkIndex | None = None
) -> Outcome:
    """One segment, whose packs are in the index from then on."""
    known = Index() if index is None else index
    stream = repo.stream(known)
    found = SegmentWriter(stream, FileReader(), known, parents, lambda *_: None).describe(wanted)
    repo.publish(stream.stored)
    return found


def files(outcome: Outcome) -> list[bytes]:
    assert outcome.manifest is not None
    return [entry.path.rpartition(b"/")[2] for entry in outcome.manifest.entries if entry.kind == "f"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    for name in ("one", "two", "three"):
        (folder / name).write_bytes(name.encode() * 1000)
    # Else the clock does not tell what was just written from what changes now.
    time.sleep(2 * TICK_NS / 1e9)
    return folder


def test_a_file_that_is_gone_is_named_and_the_others_are_there(repo: Repo, source: Path) -> None:
    wanted = items(source)
    (source / "three").unlink()
    found = describe(repo, wanted)
    assert files(found) == [b"one", b"two"]
    assert [path.rpartition(b"/")[2] for path, _ in (*found.errors, *found.skipped)] == [b"three"]
    assert found.stats.files_new == 2


def test_where_nothing_can_be_described_there_is_no_manifest(repo: Repo, source: Path) -> None:
    wanted = [item for item in items(source) if item.kind == "f"]
    for path in source.iterdir():
        path.unlink()
    found = describe(repo, wanted)
    assert found.manifest is None
    assert len(found.errors) + len(found.skipped) == 3
    assert (found.stats.bytes_stored, repo.stored("packs/")) == (0, [])


def test_what_has_the_same_stamp_is_not_read_and_all_else_is(repo: Repo, source: Path) -> None:
    wanted = items(source)
    first = describe(repo, wanted)
    assert first.manifest is not None
    (source / "two").unlink()  # it is not looked at, so that nobody misses it
    changed = [
        item if item.path.endswith((b"two", b"three")) else item_with(item, b"another") for item in wanted
    ]
    again = describe(repo, changed, (first.manifest,), repo.loaded())
    assert files(again) == files(first)
    assert (again.errors, again.stats.files_kept, again.stats.chunks_new) == ([], 3, 0)
    assert again.stats.bytes_read == 3000, "the one with another stamp, which is as it was"


def item_with(item: WorkItem, stamp: bytes) -> WorkItem:
    return WorkItem(item.path, item.kind, item.size, stamp)


def test_an_entry_of_the_parent_whose_chunks_are_gone_is_read_again(repo: Repo, source: Path) -> None:
    wanted = items(source)
    first = describe(repo, wanted)
    assert first.manifest is not None
    again = describe(repo, wanted, (first.manifest,))
    assert (again.stats.files_new, again.stats.files_kept) == (3, 0)
    assert again.stats.chunks_new > 0


def test_a_store_that_fails_stops_the_segment(
    repo: Repo, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise StoreUnreachable("away")

    monkeypatch.setattr(repo.store, "put", away)
    with pytest.raises(StoreUnreachable):
        describe(repo, items(source))
