"""Which packs without an index object are learnt; that they are found at all is in test_index.py."""

import random
from typing import TYPE_CHECKING

import pytest

from repository.adopt import adopt_packs
from repository.errors import StoreUnreachable
from repository.index import Index
from repository.layout import pack_name
from repository.manifest import PackSummary
from repository.prunes import Struck

if TYPE_CHECKING:
    from tests.repository.conftest import Repo


def left_behind(repo: "Repo", count: int) -> list[PackSummary]:
    packs = [repo.segment({b"/a": random.Random(each).randbytes(9000)})[1][0] for each in range(count)]
    return sorted(packs, key=lambda pack: pack_name(pack.id))


def test_a_pack_that_is_damaged_is_told_and_the_others_are_adopted(repo: "Repo") -> None:
    cut, gone, good = left_behind(repo, 3)
    repo.damage(pack_name(cut.id), lambda data: data[:-1])
    names = repo.stored("packs/")
    repo.store.delete(pack_name(gone.id))
    told: list[str] = []
    index = Index()
    adopted = adopt_packs(
        repo.store, repo.vault, repo.keys, index, lambda name, _: told.append(name), names=names
    )
    assert adopted == [good]
    assert told == [pack_name(cut.id), pack_name(gone.id)]
    assert not index.contains(cut.records[:32])


def test_what_is_indexed_or_going_is_left_alone(repo: "Repo") -> None:
    indexed, going, free = left_behind(repo, 3)
    repo.publish([indexed])
    index = repo.loaded()
    struck = Struck(frozenset(), frozenset([going.id]), frozenset())
    adopted = adopt_packs(repo.store, repo.vault, repo.keys, index, lambda *_: None, struck)
    assert adopted == [free]
    assert not index.contains(going.records[:32])
    assert index.unindexed_pack_of(indexed.records[:32]) is None


def test_a_listing_that_fails_is_no_empty_one(repo: "Repo", monkeypatch: pytest.MonkeyPatch) -> None:
    left_behind(repo, 1)

    def away(prefix: str) -> object:
        raise StoreUnreachable(prefix)

    monkeypatch.setattr(repo.store, "list", away)
    with pytest.raises(StoreUnreachable, match="packs/"):
        adopt_packs(repo.store, repo.vault, repo.keys, Index(), lambda *_: None)
