"""What the snapshots use, looked at while others write, and never guessed."""

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from repository import layout
from repository import survey as module
from repository.prunes import Names
from repository.survey import NotCertain, Subject, Usage, removable, survey, used_packs

if TYPE_CHECKING:
    from tests.repository.conftest import Repo

NOBODY: frozenset[bytes] = frozenset()


def look(repo: "Repo", store: object = None, going: frozenset[bytes] = NOBODY) -> Usage:
    return survey(Subject(store or repo.store, repo.vault, repo.keys), going)  # type: ignore[arg-type]


def noise(seed: int, size: int = 9000) -> bytes:
    return random.Random(seed).randbytes(size)


def test_of_each_pack_it_knows_what_is_used_of_it(repo: "Repo") -> None:
    kept, gone = repo.backup({b"/a": noise(1)}, 1), repo.backup({b"/b": noise(2)}, 2)
    _, orphans = repo.segment({b"/c": noise(3)})
    repo.store.delete(layout.snapshot_name(gone.id))
    usage = look(repo)
    assert usage.snapshots == 1
    assert usage.manifests == {ref.id for ref in kept.manifests}
    assert usage.stored_manifests == usage.manifests | {ref.id for ref in gone.manifests}
    assert usage.orphans() == {pack.id for pack in orphans}
    used, unused = sorted(usage.packs(), key=lambda pack: -pack.used)
    assert used.used == used.total > 0
    assert (unused.used, unused.total > 0) == (0, True)
    assert used_packs(usage) == {used.id}
    assert usage.used_of(unused) == []
    assert sum(place.sealed_len for _, place in usage.used_of(used)) == used.used


def test_nothing_that_is_needed_now_is_removable_whatever_was_marked(repo: "Repo") -> None:
    snapshot = repo.backup({b"/a": noise(1)}, 1)
    usage = look(repo)
    manifests = frozenset(ref.id for ref in snapshot.manifests)
    marked = Names(used_packs(usage) | {b"x" * 16}, manifests | {b"y" * 24})
    assert removable(usage, marked) == Names(frozenset({b"x" * 16}), frozenset({b"y" * 24}))


class Busy:
    """A store into which somebody commits a backup right after its index objects were listed."""

    def __init__(self, repo: "Repo") -> None:
        self._repo = repo
        self._once = True

    def __getattr__(self, name: str) -> object:
        return getattr(self._repo.store, name)

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        yield from list(self._repo.store.list(prefix, after))
        if prefix == layout.INDEX and self._once:
            self._once = False
            self._repo.backup({b"/new": noise(4)}, 9)


def test_a_backup_that_is_committed_meanwhile_is_no_loss(repo: "Repo") -> None:
    repo.backup({b"/a": noise(1)}, 1)
    usage = look(repo, Busy(repo))
    assert usage.missing == set()
    assert len(usage.orphans()) == 1, "stored after the index objects were listed"


def test_a_chunk_whose_only_pack_is_gone_makes_it_uncertain(repo: "Repo") -> None:
    repo.backup({b"/a": noise(1)}, 1)
    for name in repo.stored(layout.PACKS):
        repo.store.delete(name)
    with pytest.raises(NotCertain, match="no pack is known to hold it") as refused:
        look(repo)
    assert "check" in refused.value.remedy


def test_an_unneeded_pack_that_is_gone_is_only_told(repo: "Repo") -> None:
    repo.backup({b"/a": noise(1)}, 1)
    _, stray = repo.segment({b"/b": noise(2)})
    repo.publish(stray)
    repo.store.delete(layout.pack_name(stray[0].id))
    assert look(repo).missing == {stray[0].id}


@pytest.mark.parametrize("prefix", [layout.SNAPSHOTS, layout.INDEX, layout.MANIFESTS])
def test_one_object_that_cannot_be_read_stops_it_and_is_named(repo: "Repo", prefix: str) -> None:
    repo.backup({b"/a": noise(1)}, 1)
    (name,) = repo.stored(prefix)
    repo.damage(name, lambda data: data[:-1])
    with pytest.raises(NotCertain, match=name):
        look(repo)


def test_it_names_no_more_than_a_person_reads(repo: "Repo", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_TOLD", 2)
    for number in range(4):
        (repo.folder / "packs" / f"0{number}").mkdir(parents=True, exist_ok=True)
        (repo.folder / "packs" / f"0{number}" / "stray").write_bytes(b"x")
    with pytest.raises(NotCertain) as refused:
        look(repo)
    assert [f"packs/0{number}/stray" in refused.value.message for number in range(4)] == [
        True,
        True,
        False,
        False,
    ]


def test_every_object_is_a_sign_of_life(repo: "Repo") -> None:
    repo.backup({b"/a": noise(1)}, 1)
    signs: list[None] = []
    survey(Subject(repo.store, repo.vault, repo.keys, lambda: signs.append(None)), NOBODY)
    names = [repo.stored(prefix) for prefix in (layout.INDEX, layout.PACKS, layout.MANIFESTS)]
    assert len(signs) > sum(map(len, names))
