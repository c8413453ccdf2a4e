"""What is read by a listing is read whole, whatever a prune replaces meanwhile."""

import random
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from repository import layout
from repository.check import check
from repository.errors import ObjectMissing, RepositoryError, StoreUnreachable
from repository.index import ChunkIndex, read_index, write_indexes
from repository.prune import leave_out
from repository.store import ReadStore
from tests.repository.test_index import JOB, chunk, summary

if TYPE_CHECKING:
    from tests.repository.conftest import Repo

PACKS = [summary(number, [chunk(number)]) for number in range(6)]


class Replacing:
    """A store in which something happens after each listing of the index, until it has happened `times` times."""

    def __init__(self, store: ReadStore, happen: Callable[[], None], times: int = 1) -> None:
        self._store = store
        self._happen = happen
        self._left = times
        self.listings = 0

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        names = list(self._store.list(prefix, after))
        self.listings += prefix == layout.INDEX
        if self._left and prefix == layout.INDEX:
            self._left -= 1
            self._happen()
        yield from names

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


def publish(repo: "Repo") -> None:
    for number in range(0, len(PACKS), 2):
        write_indexes(repo.store, repo.vault, repo.keys, 1, JOB, 1 + number, PACKS[number : number + 2])


def replace(repo: "Repo", gone: int) -> None:
    """What a sweep does to the index."""
    leave_out(
        repo.store, repo.vault, repo.keys, 1, random.randbytes(16), frozenset({PACKS[gone].id}), lambda: None
    )


def require_all_but(index: ChunkIndex, *gone: int) -> None:
    assert [index.contains(chunk(number)) for number in range(len(PACKS))] == [
        number not in gone for number in range(len(PACKS))
    ]


def test_what_is_replaced_right_after_it_was_listed_is_found_in_its_new_place(
    repo: "Repo", make_index: "Callable[[], ChunkIndex]"
) -> None:
    publish(repo)
    store = Replacing(repo.store, lambda: replace(repo, 2))
    index = make_index()
    index.refresh(store, repo.vault, repo.keys)  # type: ignore[arg-type]
    require_all_but(index, 2)


def test_again_and_again(repo: "Repo", make_index: "Callable[[], ChunkIndex]") -> None:
    publish(repo)
    gone: list[int] = []

    def next_one() -> None:
        replace(repo, len(gone))
        gone.append(len(gone))

    index = make_index()
    index.refresh(Replacing(repo.store, next_one, times=4), repo.vault, repo.keys)  # type: ignore[arg-type]
    assert len(gone) > 1
    assert all(index.contains(chunk(number)) for number in range(len(gone), len(PACKS)))
    index.refresh(repo.store, repo.vault, repo.keys)
    require_all_but(index, *gone)


def test_nothing_is_read_twice_for_it(repo: "Repo", make_index: "Callable[[], ChunkIndex]") -> None:
    publish(repo)
    read: list[str] = []

    class Counting(Replacing):
        def __getattr__(self, name: str) -> object:
            def get(object_name: str, *rest: object) -> object:
                read.append(object_name)
                return getattr(repo.store, name)(object_name, *rest)

            return get if name == "get" else getattr(repo.store, name)

    store = Counting(repo.store, lambda: replace(repo, 2))
    make_index().refresh(store, repo.vault, repo.keys)  # type: ignore[arg-type]
    assert len(read) == len(set(read)) == 4, "two that stay, one that is gone, and the one that came"


def test_a_check_takes_no_late_sweep_for_damage(repo: "Repo") -> None:
    gone = repo.backup({b"/a": b"a"}, 1)
    repo.backup({b"/b": b"b"}, 2)
    packs = [read_index(*repo.subject, layout.id_of(name))[0].id for name in repo.stored(layout.INDEX)]
    repo.store.delete(layout.snapshot_name(gone.id))

    def sweep() -> None:
        leave_out(repo.store, repo.vault, repo.keys, 1, b"p" * 16, frozenset(packs[:1]), lambda: None)

    subject = repo.subject._replace(store=Replacing(repo.store, sweep))  # type: ignore[arg-type]
    assert check(subject, repo.room).problems == []


def test_what_is_listed_and_never_there_is_damage(
    repo: "Repo", make_index: "Callable[[], ChunkIndex]"
) -> None:
    publish(repo)
    stray = layout.index_name(layout.segment_id(b"s" * 16, 1, 0))

    class Hiding(Replacing):
        def list(self, prefix: str, after: str = "") -> Iterator[str]:
            yield from sorted([*super().list(prefix, after), stray])

    store = Hiding(repo.store, lambda: None)
    with pytest.raises(ObjectMissing):
        make_index().refresh(store, repo.vault, repo.keys)  # type: ignore[arg-type]
    told: list[str] = []

    def tell(name: str, _: RepositoryError) -> None:
        told.append(name)

    index = make_index()
    index.refresh(store, repo.vault, repo.keys, tell)  # type: ignore[arg-type]
    require_all_but(index)
    assert told == [stray]


def test_it_ends_when_they_are_replaced_without_end(
    repo: "Repo", make_index: "Callable[[], ChunkIndex]"
) -> None:
    publish(repo)

    def swap() -> None:
        for name in repo.stored(layout.INDEX):
            repo.store.delete(name)
        write_indexes(repo.store, repo.vault, repo.keys, 1, random.randbytes(16), 1, PACKS)

    store = Replacing(repo.store, swap, times=10**6)
    with pytest.raises(StoreUnreachable):
        make_index().refresh(store, repo.vault, repo.keys)  # type: ignore[arg-type]
    assert store.listings < 20
