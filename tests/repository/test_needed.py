"""What the snapshots need is all of it, and nothing else unless something cannot be read."""

import random
from typing import TYPE_CHECKING, NamedTuple

import pytest

from repository import layout
from repository.needed import needed
from repository.walk import Far, Walk

if TYPE_CHECKING:
    from tests.repository.conftest import Repo

DATA = random.Random(5).randbytes(120_000)
FILES = {b"/a": DATA[:30_000], b"/b": DATA[30_000:]}


class Found(NamedTuple):
    names: list[str]
    unreadable: int


def found_in(repo: "Repo", walk: Walk | None = None) -> Found:
    with needed(repo.subject, repo.room, walk or Walk()) as found:
        return Found(list(found.names), found.unreadable)


def everything(repo: "Repo") -> set[str]:
    return {name for name in repo.stored("") if not name.startswith(layout.JOBS)}


def test_all_that_snapshots_share_and_have_is_needed(repo: "Repo") -> None:
    repo.backup(FILES, 1)
    repo.backup({**FILES, b"/c": b"more"}, 2)
    found = found_in(repo)
    assert set(found.names) == everything(repo)
    assert len(found.names) == len(set(found.names))
    assert found.unreadable == 0


def test_what_no_snapshot_refers_to_is_not_needed(repo: "Repo") -> None:
    snapshot = repo.backup(FILES, 1)
    kept = everything(repo)
    gone = repo.backup({b"/other": DATA[::-1]}, 2)
    repo.store.delete(layout.snapshot_name(gone.id))
    repo.store.put("packs/ff/" + "f" * 32, [b"of a backup that died"])
    found = set(found_in(repo).names)
    # An index object is small, and it is not known which of its packs will be needed.
    assert found == kept | set(repo.stored(layout.INDEX))
    assert layout.snapshot_name(snapshot.id) in found


def test_what_a_job_works_with_is_not_needed(repo: "Repo") -> None:
    repo.backup(FILES)
    repo.store.put(layout.plan_name(b"J" * 16), [b"x"])
    assert not [each for each in found_in(repo).names if each.startswith("jobs/")]


def test_what_cannot_be_read_might_need_anything(repo: "Repo") -> None:
    repo.backup(FILES, 1)
    gone = repo.backup({b"/other": DATA[::-1]}, 2)
    repo.store.delete(layout.snapshot_name(gone.id))
    for prefix in (layout.SNAPSHOTS, layout.MANIFESTS, layout.INDEX):
        name = repo.stored(prefix)[0]
        good = (repo.folder / name).read_bytes()
        repo.damage(name, lambda data: data[:-1] + bytes([data[-1] ^ 1]))
        found = found_in(repo)
        assert found.unreadable, name
        assert set(found.names) == everything(repo), name
        (repo.folder / name).write_bytes(good)


def test_a_place_without_a_vault_needs_its_configuration(repo: "Repo") -> None:
    for name in repo.stored(""):
        repo.store.delete(name)
    assert found_in(repo).names == [layout.CONFIG, layout.CHUNK_ID_KEY, layout.dek_name(1)]


@pytest.mark.parametrize("prefix", [layout.CONFIG, layout.KEYS, layout.MANIFESTS, layout.PACKS])
def test_what_is_needed_and_gone_is_needed_all_the_same(repo: "Repo", prefix: str) -> None:
    """Whoever extends locks learns from it that something was removed."""
    repo.backup(FILES, 1)
    expected = everything(repo)
    gone = [name for name in expected if name.startswith(prefix)]
    assert gone
    names = sorted(gone)
    if prefix == layout.MANIFESTS:
        # What it refers to is not known, so everything that is left is needed.
        assert len(names) == 1
    for name in names:
        repo.store.delete(name)
    found = found_in(repo)
    assert set(found.names) == expected
    assert found.unreadable == (prefix == layout.MANIFESTS)


def test_signs_of_life_are_asked_for_on_the_way(repo: "Repo") -> None:
    repo.backup(FILES, 1)
    repo.backup({**FILES, b"/c": b"more"}, 2)
    signs: list[Far] = []
    found_in(repo, Walk(signs.append))
    assert len(signs) > 2


def test_a_chunk_that_is_in_two_packs_needs_both(repo: "Repo") -> None:
    repo.backup(FILES, 1)
    _, copies = repo.segment(FILES)
    repo.publish(copies)
    assert len(repo.stored(layout.PACKS)) == 2
    assert set(found_in(repo).names) == everything(repo)


def test_strays_change_nothing(repo: "Repo") -> None:
    repo.backup(FILES, 1)
    expected = everything(repo)
    for name in ("packs/00/" + "ff" * 16, "packs/zz/stray", "manifests/00", "manifests/" + "ff" * 24):
        (repo.folder / name).parent.mkdir(exist_ok=True)
        (repo.folder / name).write_bytes(b"x")
    assert set(found_in(repo).names) == expected


def test_a_backup_that_is_committed_meanwhile_leaves_nothing_uncertain(repo: "Repo") -> None:
    repo.backup(FILES, 1)
    steps: list[Far] = []

    def another(far: Far) -> None:
        steps.append(far)
        if len(steps) == 1:
            repo.backup({b"/new": DATA[::-1]}, 2)

    assert found_in(repo, Walk(another)).unreadable == 0
