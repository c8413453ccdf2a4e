"""Packs that the index names and the store has not are found in the listing, whichever way the index is kept."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from repository import layout, presence
from repository.adopt import adopt_packs
from repository.index import ChunkIndex
from repository.presence import Presence

if TYPE_CHECKING:
    from tests.repository.conftest import Repo

Make = Callable[[], ChunkIndex]


def packs(repo: "Repo", count: int) -> list[str]:
    for _ in range(count):
        repo.publish(repo.segment({b"/a": os.urandom(3000)})[1])
    return repo.stored(layout.PACKS)


def missing(repo: "Repo", index: ChunkIndex) -> list[str]:
    found = Presence(repo.store, index.indexed_packs())
    assert list(found.through(repo.store.list(layout.PACKS))) == repo.stored(layout.PACKS)
    return found.missing


@pytest.mark.parametrize("gone", [(), (0,), (4,), (1, 2), (0, 1, 2, 3, 4)])
def test_what_is_gone_is_found(repo: "Repo", make_index: Make, gone: tuple[int, ...]) -> None:
    names = packs(repo, 5)
    index = make_index()
    repo.refresh(index)
    for number in gone:
        repo.store.delete(names[number])
    assert missing(repo, index) == [names[number] for number in gone]


def test_what_no_index_object_names_is_not_awaited(repo: "Repo", make_index: Make) -> None:
    packs(repo, 2)
    index = make_index()
    repo.refresh(index)
    _, unpublished = repo.segment({b"/b": os.urandom(3000)})
    assert len(adopt_packs(repo.store, repo.vault, repo.keys, index, lambda *_: None)) == 1
    repo.store.delete(layout.pack_name(unpublished[0].id))
    assert missing(repo, index) == []


def test_what_a_listing_does_not_show_yet_is_looked_for(repo: "Repo", make_index: Make) -> None:
    names = packs(repo, 3)
    index = make_index()
    repo.refresh(index)
    found = Presence(repo.store, index.indexed_packs())
    assert list(found.through(names[:1])) == names[:1]
    assert found.missing == []


def test_no_more_are_looked_for_than_are_told(repo: "Repo", monkeypatch: pytest.MonkeyPatch) -> None:
    names = packs(repo, 5)
    index = repo.loaded()
    for name in names:
        repo.store.delete(name)
    monkeypatch.setattr(presence, "MOST", 2)
    assert missing(repo, index) == names[:2]


def test_an_index_of_many_packs_is_read_in_pieces(
    repo: "Repo", make_index: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = packs(repo, 7)
    index = make_index()
    repo.refresh(index)
    monkeypatch.setattr("repository.cache.tables.APPENDED", 3)
    assert [layout.pack_name(each) for each in index.indexed_packs()] == names
