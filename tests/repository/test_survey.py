"""What snapshots use, pack by pack: the same from memory and from disk, and where it is."""

import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from repository import layout
from repository.catalog import read_manifest, read_snapshots
from repository.errors import CacheUnusable, StoreUnreachable
from repository.prune import leave_out
from repository.survey import NotCertain, PackUse, Subject, Usage, survey
from tests.repository.test_listed import Replacing

if TYPE_CHECKING:
    from repository.store import ReadStore
    from tests.repository.conftest import Repo

NOBODY: frozenset[bytes] = frozenset()
IN_MEMORY = 24 << 20


def look(
    repo: "Repo", store: "ReadStore | None" = None, room: Path | None = None, in_memory: int = IN_MEMORY
) -> Usage:
    subject = Subject(store or repo.store, repo.vault, repo.keys)
    with survey(subject, NOBODY, room or repo.room, in_memory) as usage:
        return usage


def data(seed: int) -> bytes:
    return random.Random(seed).randbytes(40_000)


def fill(repo: "Repo") -> None:
    """Four packs, of which some are used in part and one is not at all; one chunk in two of them."""
    for number in range(4):
        repo.backup({b"/%d" % each: data(each) for each in (number, number + 1, number + 10)}, number)
    _, twins = repo.segment({b"/0": data(0)})
    repo.publish(twins)
    for number in (0, 2):
        repo.store.delete(layout.snapshot_name(number.to_bytes(16, "big")))


@pytest.mark.parametrize("in_memory", [0, 2000, IN_MEMORY])
def test_it_comes_to_the_same_on_disk_and_in_memory(repo: "Repo", in_memory: int) -> None:
    fill(repo)
    subject = Subject(repo.store, repo.vault, repo.keys)
    with survey(subject, NOBODY, repo.room, in_memory) as usage:
        packs = list(usage.packs())
        moved = {pack.id: found for pack, found in usage.moves(packs)}
    expected = by_hand(repo)
    assert {pack.id: pack.used for pack in packs} == {
        pack: sum(sizes.values()) for pack, sizes in expected.items()
    }
    assert any(0 < pack.used < pack.total for pack in packs)
    assert any(not pack.used for pack in packs)
    for pack_id, found in moved.items():
        assert found is not None
        assert {chunk_id: at.sealed_len for chunk_id, at in found} == expected[pack_id]
        assert [at.offset for _, at in found] == sorted(at.offset for _, at in found)
        assert {at.pack for _, at in found} <= {pack_id}
    assert list(repo.room.iterdir()) == []


def by_hand(repo: "Repo") -> dict[bytes, dict[bytes, int]]:
    """Sealed lengths of the used chunks of each pack, by the index in memory; at home in the pack that comes first."""
    index = repo.loaded()
    homes: dict[bytes, dict[bytes, int]] = {layout.id_of(name): {} for name in repo.stored(layout.PACKS)}
    for snapshot in read_snapshots(repo.store, repo.vault, repo.keys, lambda *_: None):
        for ref in snapshot.manifests:
            manifest = read_manifest(repo.store, repo.vault, repo.keys, ref)
            used = {number for entry in manifest.entries for number in entry.extents[::3]}
            for chunk_id in (manifest.chunk_ids[32 * number : 32 * number + 32] for number in used):
                home = min(index.places(chunk_id), key=lambda place: place.pack)
                homes[home.pack][chunk_id] = home.sealed_len
    return homes


def test_without_a_disk_for_it_nothing_is_said(repo: "Repo", tmp_path: Path) -> None:
    fill(repo)
    (tmp_path / "in-the-way").write_text("no folder")
    with pytest.raises(CacheUnusable, match="too much to compare"):
        look(repo, room=tmp_path / "in-the-way" / "room", in_memory=2000)


def test_what_a_pack_does_not_have_where_it_should_is_not_moved(repo: "Repo") -> None:
    fill(repo)
    usage = look(repo)
    packs = [pack for pack in usage.packs() if pack.used]
    repo.damage(layout.pack_name(packs[0].id), lambda content: content[: len(content) // 2])
    repo.store.delete(layout.pack_name(packs[1].id))
    moved: list[tuple[PackUse, bool]] = [(pack, found is not None) for pack, found in usage.moves(packs)]
    assert moved == [(pack, number > 1) for number, pack in enumerate(packs)]


def test_a_late_sweep_beside_it_is_no_damage(repo: "Repo") -> None:
    fill(repo)
    (idle, *_) = (pack.id for pack in look(repo).packs() if not pack.used)

    def sweep() -> None:
        leave_out(repo.store, repo.vault, repo.keys, 1, b"p" * 16, frozenset({idle}), lambda: None)

    usage = look(repo, Replacing(repo.store, sweep))  # type: ignore[arg-type]
    assert idle not in {pack.id for pack in usage.packs()}
    assert idle in set(usage.orphans())


def test_a_store_that_does_not_answer_is_not_taken_for_damage(repo: "Repo") -> None:
    fill(repo)

    class Silent(Replacing):
        def get(self, name: str, limit: int) -> bytes:
            if name.startswith(layout.SNAPSHOTS):
                raise StoreUnreachable("no answer")
            return repo.store.get(name, limit)

    with pytest.raises(StoreUnreachable):
        look(repo, Silent(repo.store, lambda: None))  # type: ignore[arg-type]


def test_what_is_wrong_is_told_and_not_without_end(repo: "Repo") -> None:
    fill(repo)
    for name in repo.stored(layout.PACKS):
        repo.store.delete(name)
    with pytest.raises(NotCertain, match="no pack is known to hold it") as caught:
        look(repo)
    assert caught.value.message.count("chunk ") == 20
