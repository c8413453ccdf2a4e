"""The read path: few reads, and damage that stays where it is."""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from crypto.errors import SealBroken
from repository import fetch as fetch_module
from repository.compression import Decompressor
from repository.directory import DirectoryReader
from repository.errors import ChunkDamaged, ChunkMissing, ObjectMissing, StoreUnreachable
from repository.fetch import Fetched, Fetcher, FetchFailure
from repository.index import ChunkIndex, Index
from repository.layout import pack_name
from repository.manifest import Manifest, PackSummary
from repository.pack import RECORD

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repository.conftest import Repo

DATA = random.Random(11).randbytes(200_000)


class Counting(DirectoryReader):
    """A store that notes what is read into buffers."""

    def __init__(self, root: "Path") -> None:
        super().__init__(root)
        self.reads: list[tuple[str, int, int]] = []

    def read_into(self, name: str, offset: int, out: memoryview) -> None:
        self.reads.append((name, offset, len(out)))
        super().read_into(name, offset, out)


def ids(manifest: Manifest) -> list[bytes]:
    return [manifest.chunk_ids[at : at + 32] for at in range(0, len(manifest.chunk_ids), 32)]


@pytest.fixture
def stored(repo: "Repo") -> tuple[Manifest, PackSummary, Index]:
    index = Index()
    manifest, (pack,) = repo.segment({b"/a": DATA}, index)
    return manifest, pack, index


Stored = tuple[Manifest, PackSummary, Index]


def run(
    repo: "Repo", index: ChunkIndex, wanted: list[bytes]
) -> tuple[dict[bytes, bytes], dict[bytes, FetchFailure]]:
    good, bad = {}, {}
    for got in Fetcher(repo.store, repo.vault, repo.keys, index).fetch(wanted):
        if isinstance(got, Fetched):
            good[got.chunk_id] = bytes(Decompressor().decompress(got.codec, got.payload, got.raw_len))
        else:
            bad[got.chunk_id] = got
    return good, bad


def test_every_chunk_comes_once_in_any_order(repo: "Repo", stored: Stored) -> None:
    manifest, _, index = stored
    wanted = ids(manifest)
    random.Random(1).shuffle(wanted)
    good, bad = run(repo, index, wanted + wanted)
    assert b"".join(good[chunk_id] for chunk_id in ids(manifest)) == DATA
    assert bad == {}


@pytest.mark.parametrize("room", [200_000, 60_000])
def test_payloads_of_one_fetch_stay_good_side_by_side_also_if_there_are_more_than_said(
    repo: "Repo", stored: Stored, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    manifest, _, index = stored
    monkeypatch.setattr(fetch_module, "MAX_CHUNK", 20_000)
    together = fetch_module.fetch_room(room)
    fetcher = Fetcher(repo.store, repo.vault, repo.keys, index, together)
    held = [got for got in fetcher.fetch(ids(manifest)) if isinstance(got, Fetched)]
    assert sum(len(got.payload) for got in held) > 60_000
    inflate = Decompressor()
    plain = [bytes(inflate.decompress(got.codec, got.payload, got.raw_len)) for got in held]
    assert b"".join(plain) == DATA


def test_neighbours_are_read_together_and_far_ones_apart(
    repo: "Repo", stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, pack, index = stored
    store = Counting(repo.folder)
    fetcher = Fetcher(store, repo.vault, repo.keys, index)
    wanted = ids(manifest)
    assert len(wanted) > 10
    list(fetcher.fetch(wanted))
    assert len(store.reads) == 1
    list(fetcher.fetch([wanted[0], wanted[2]]))
    assert len(store.reads) == 2
    monkeypatch.setattr(fetch_module, "MAX_GAP", 100)
    list(fetcher.fetch([wanted[0], wanted[2]]))
    assert len(store.reads) == 4
    monkeypatch.setattr(fetch_module, "MAX_READ", 40_000)
    store.reads.clear()
    list(fetcher.fetch(wanted))
    assert len(store.reads) > 4
    assert max(length for _, _, length in store.reads) <= 40_000
    assert {name for name, _, _ in store.reads} == {pack_name(pack.id)}


def test_an_unknown_chunk_is_missing_and_the_others_come(repo: "Repo", stored: Stored) -> None:
    manifest, _, index = stored
    good, bad = run(repo, index, [b"?" * 32, *ids(manifest)])
    assert isinstance(bad[b"?" * 32].error, ChunkMissing)
    assert len(good) == len(ids(manifest))


def test_a_flipped_bit_costs_one_chunk(repo: "Repo", stored: Stored) -> None:
    manifest, pack, index = stored
    _, offset, sealed, _, _ = RECORD.unpack_from(pack.records, 2 * RECORD.size)
    at = offset + sealed // 2
    repo.damage(pack_name(pack.id), lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    good, bad = run(repo, index, ids(manifest))
    (failure,) = bad.values()
    assert failure.chunk_id == ids(manifest)[2]
    assert isinstance(failure.error, ChunkDamaged)
    assert failure.error.pack_id == pack.id
    assert isinstance(failure.error.__cause__, SealBroken)
    assert len(good) == len(ids(manifest)) - 1


def test_a_truncated_pack_still_gives_what_is_left_of_it(repo: "Repo", stored: Stored) -> None:
    manifest, pack, index = stored
    _, offset, _, _, _ = RECORD.unpack_from(pack.records, 3 * RECORD.size)
    repo.damage(pack_name(pack.id), lambda data: data[: offset + 5])
    good, bad = run(repo, index, ids(manifest))
    assert list(good) == ids(manifest)[:3]
    assert set(bad) == set(ids(manifest)[3:])


def test_a_lost_pack_costs_its_chunks(repo: "Repo", stored: Stored) -> None:
    manifest, pack, index = stored
    repo.store.delete(pack_name(pack.id))
    good, bad = run(repo, index, ids(manifest))
    assert good == {}
    assert all(isinstance(failure.error.__cause__, ObjectMissing) for failure in bad.values())


def test_swapped_chunks_are_refused(repo: "Repo") -> None:
    """Two genuine chunks of equal length that changed places in their pack do not open."""
    index = Index()
    manifest, (pack,) = repo.segment({b"/a": bytes(16_384) + b"\1" * 16_384}, index)
    records = list(RECORD.iter_unpack(pack.records))
    (_, at, length, _, _), (_, bt, other, _, _) = records[0], records[1]
    assert length == other

    def swap(data: bytes) -> bytes:
        return data[:at] + data[bt : bt + length] + data[at : at + length] + data[bt + length :]

    repo.damage(pack_name(pack.id), swap)
    good, bad = run(repo, index, ids(manifest))
    assert len(bad) == 2
    assert set(bad) == {records[0][0], records[1][0]}
    assert all(isinstance(failure.error, ChunkDamaged) for failure in bad.values())
    assert good.keys().isdisjoint(bad)


def test_a_chunk_of_another_epoch_or_vault_is_refused(repo: "Repo", stored: Stored) -> None:
    manifest, _, index = stored
    other = type(repo.vault)(repo.vault.tenant, b"W" * 16)
    got = list(Fetcher(repo.store, other, repo.keys, index).fetch(ids(manifest)))
    assert all(isinstance(one, FetchFailure) for one in got)


def test_a_store_that_does_not_answer_is_not_blamed_on_the_chunks(repo: "Repo", stored: Stored) -> None:
    class Gone(DirectoryReader):
        def read_into(self, *_: object) -> None:
            raise StoreUnreachable("gone")

    manifest, _, index = stored
    with pytest.raises(StoreUnreachable):
        list(Fetcher(Gone(repo.folder), repo.vault, repo.keys, index).fetch(ids(manifest)))


def test_a_revoked_key_acts_between_two_chunks(repo: "Repo", stored: Stored) -> None:
    manifest, _, index = stored
    fetching = Fetcher(repo.store, repo.vault, repo.keys, index).fetch(ids(manifest))
    next(fetching)
    del repo.keys.deks[1]
    with pytest.raises(KeyError):
        next(fetching)


@pytest.mark.parametrize("damage", ["missing", "cut", "flipped"])
@pytest.mark.parametrize("learnt", ["at once", "one after the other"])
@pytest.mark.parametrize("first", [True, False])
def test_a_chunk_that_is_lost_in_one_pack_comes_from_another(
    repo: "Repo", make_index: Callable[[], ChunkIndex], damage: str, learnt: str, first: bool
) -> None:
    index = make_index()
    packs = []
    for _ in range(2):
        manifest, summaries = repo.segment({b"/a": DATA})
        repo.publish(summaries)
        packs += summaries
        if learnt == "one after the other":
            repo.refresh(index)
    repo.refresh(index)
    wanted = ids(manifest)
    places = index.places(wanted[0])
    assert places[0] == index.locate(wanted[0])
    assert {place.pack for place in places} == {pack.id for pack in packs}
    name = pack_name(places[0 if first else 1].pack)
    if damage == "missing":
        repo.store.delete(name)
    else:
        repo.damage(name, lambda data: data[:5000] if damage == "cut" else _flipped(data))
    good, bad = run(repo, index, wanted)
    assert bad == {}
    assert b"".join(good[chunk_id] for chunk_id in wanted) == DATA
    repo.store.delete(pack_name(places[1 if first else 0].pack))
    good, bad = run(repo, index, wanted)
    assert bad and good.keys() | bad.keys() == set(wanted)


def _flipped(data: bytes) -> bytes:
    """With a wrong bit in every chunk."""
    changed = bytearray(data)
    changed[64:-64:512] = bytes(each ^ 1 for each in changed[64:-64:512])
    return bytes(changed)


def test_what_is_in_no_other_pack_says_why_it_is_lost_in_its_own(
    repo: "Repo", make_index: Callable[[], ChunkIndex]
) -> None:
    manifest, summaries = repo.segment({b"/a": DATA})
    repo.publish(summaries)
    repo.publish(summaries)
    index = make_index()
    repo.refresh(index)
    chunk_id = ids(manifest)[0]
    assert len(index.places(chunk_id)) == 1, "a pack that two index objects name is one place"
    repo.store.delete(pack_name(summaries[0].id))
    _, bad = run(repo, index, [chunk_id])
    assert isinstance(bad[chunk_id].error.__cause__, ObjectMissing)
    assert index.places(b"?" * 32) == []
