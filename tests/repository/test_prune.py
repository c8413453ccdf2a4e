"""What a prune decides, and its steps side by side with another worker's."""

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest
from typing_extensions import Buffer

from repository import layout, prune
from repository.errors import ObjectMissing
from repository.index import read_index
from repository.manifest import Snapshot
from repository.prune import decide, leave_out, remove
from repository.prunes import Names
from repository.survey import NotCertain, Subject, Usage, removable, survey

if TYPE_CHECKING:
    from tests.repository.conftest import Repo

NOBODY: frozenset[bytes] = frozenset()


def nothing() -> None:
    pass


def look(repo: "Repo", going: frozenset[bytes] = NOBODY) -> Usage:
    with survey(Subject(repo.store, repo.vault, repo.keys), going, repo.room) as usage:
        return usage


def used_packs(usage: Usage) -> set[bytes]:
    return {pack.id for pack in usage.packs() if pack.used}


def packs(repo: "Repo") -> set[bytes]:
    return {layout.id_of(name) for name in repo.stored(layout.PACKS)}


def indexed(repo: "Repo") -> list[bytes]:
    return [
        pack.id
        for name in repo.stored(layout.INDEX)
        for pack in read_index(repo.store, repo.vault, repo.keys, layout.id_of(name))
    ]


def forget(repo: "Repo", snapshot: Snapshot) -> None:
    repo.store.delete(layout.snapshot_name(snapshot.id))


def data(seed: int, size: int = 40_000) -> bytes:
    return random.Random(seed).randbytes(size)


def test_what_nothing_uses_is_doomed_and_nothing_else(repo: "Repo") -> None:
    gone = repo.backup({b"/a": data(1)}, 1)
    before = packs(repo)
    repo.backup({b"/b": data(2)}, 2)
    assert decide(look(repo), 0.0, NOBODY)[:2] == (NOBODY, NOBODY)
    forget(repo, gone)
    decision = decide(look(repo), 0.0, NOBODY)
    assert decision.packs == before
    assert decision.manifests == {gone.manifests[0].id}
    assert decision.repack == ()


def test_what_may_be_stored_by_a_job_that_runs_is_spared(repo: "Repo") -> None:
    repo.backup({b"/a": data(1)}, 1)
    manifest, (orphan,) = repo.segment({b"/b": data(2)})
    ref = repo.put_manifest(manifest, 7)
    assert decide(look(repo), 0.0, frozenset({ref.id[:16]}))[:2] == (NOBODY, NOBODY)
    assert decide(look(repo), 0.0, frozenset({b"x" * 16}))[:2] == (NOBODY, {ref.id})
    assert decide(look(repo), 0.0, NOBODY)[:2] == ({orphan.id}, {ref.id})


@pytest.mark.parametrize(("max_unused", "moved"), [(0.0, 1), (0.4, 1), (0.6, 0), (1.0, 0)])
def test_packs_are_moved_until_no_more_is_unused_than_may_be(
    repo: "Repo", max_unused: float, moved: int
) -> None:
    both = repo.backup({b"/a": data(1), b"/b": data(2)}, 1)
    repo.backup({b"/a": data(1)}, 2)
    forget(repo, both)
    usage = look(repo)
    (pack,) = (each for each in usage.packs() if each.used < each.total)
    assert pack.used > 0
    decision = decide(usage, max_unused, NOBODY)
    assert len(decision.repack) == moved
    assert decision.packs == NOBODY


def test_one_prune_moves_and_names_no_more_than_it_should(
    repo: "Repo", monkeypatch: pytest.MonkeyPatch
) -> None:
    both = repo.backup({b"/a": data(1), b"/b": data(2)}, 1)
    repo.backup({b"/a": data(1)}, 2)
    more = [repo.backup({b"/c": data(number)}, number) for number in range(3, 6)]
    for each in (both, *more):
        forget(repo, each)
    monkeypatch.setattr(prune, "REPACK_MOST", 1)
    monkeypatch.setattr(prune, "MOST_PACKS", 2)
    decision = decide(look(repo), 0.0, NOBODY)
    assert (len(decision.packs), decision.repack) == (2, ())


def test_a_chunk_is_at_home_where_nothing_goes_if_it_can(repo: "Repo") -> None:
    repo.backup({b"/a": data(1)}, 1)
    (first,) = packs(repo)
    _, twins = repo.segment({b"/a": data(1)})
    repo.publish(twins)
    (twin,) = (pack.id for pack in twins)
    assert used_packs(look(repo, frozenset({first}))) == {twin}
    assert used_packs(look(repo, frozenset({twin}))) == {first}
    assert len(used_packs(look(repo, frozenset({first, twin})))) == 1
    usage = look(repo, frozenset({first}))
    assert removable(usage, Names(frozenset({first, twin}), NOBODY)).packs == {first}


def test_a_pack_that_is_gone_is_no_home(repo: "Repo") -> None:
    repo.backup({b"/a": data(1)}, 1)
    (first,) = packs(repo)
    _, twins = repo.segment({b"/a": data(1)})
    repo.publish(twins)
    repo.store.delete(layout.pack_name(first))
    usage = look(repo)
    assert (used_packs(usage), usage.missing) == ({twins[0].id}, {first})
    repo.store.delete(layout.pack_name(twins[0].id))
    with pytest.raises(NotCertain):
        look(repo)


def test_a_stray_name_stops_a_prune(repo: "Repo") -> None:
    repo.backup({b"/a": data(1)}, 1)
    repo.store.put("packs/zz/stray", [b"x"])
    with pytest.raises(NotCertain, match="stray"):
        look(repo)


def test_two_workers_that_leave_packs_out_lose_none_of_the_others(repo: "Repo") -> None:
    """The second begins, and ends, between any two changes of the first."""
    for breaks in range(8):
        for number in range(3):
            repo.backup(
                {b"/%d" % each: data(100 * breaks + each) for each in range(number + 1)}, 10 * breaks + number
            )
        doomed = frozenset(sorted(set(indexed(repo)))[:1])
        staying = set(indexed(repo)) - doomed
        changes = [0]

        class Interrupted:
            """A store beside which another worker does the same."""

            def put(self, name: str, parts: Sequence[Buffer]) -> None:
                self._count()
                repo.store.put(name, parts)

            def delete(self, name: str) -> None:
                self._count()
                repo.store.delete(name)

            def _count(self) -> None:
                if changes[0] == breaks:  # noqa: B023
                    leave_out(repo.store, repo.vault, repo.keys, 1, b"2" * 16, doomed, nothing)  # noqa: B023
                changes[0] += 1  # noqa: B023

            def __getattr__(self, name: str) -> object:
                return getattr(repo.store, name)

        leave_out(Interrupted(), repo.vault, repo.keys, 1, b"1" * 16, doomed, nothing)  # type: ignore[arg-type]
        assert set(indexed(repo)) == staying


def test_removing_twice_is_harmless(repo: "Repo") -> None:
    snapshot = repo.backup({b"/a": data(1)}, 1)
    names = Names(frozenset(packs(repo)), frozenset({snapshot.manifests[0].id}))
    remove(repo.store, names, nothing)
    remove(repo.store, names, nothing)
    assert not repo.stored(layout.PACKS) + repo.stored(layout.MANIFESTS)
    with pytest.raises(ObjectMissing):
        repo.store.size(layout.manifest_name(snapshot.manifests[0].id))
