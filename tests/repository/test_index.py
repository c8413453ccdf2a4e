"""The index: which pack holds which chunk."""

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.header import Kind
from crypto.sealing import sealed_length
from repository import index as index_module
from repository.adopt import adopt_packs
from repository.compression import RAW
from repository.errors import ChunkMissing, ObjectDamaged, ObjectExists, RepositoryError
from repository.index import ChunkIndex, Index, Location, read_index, write_indexes
from repository.layout import index_name, pack_name, segment_id
from repository.manifest import IndexBody, PackSummary
from repository.objects import MAX_INDEX, put_struct
from repository.pack import GRAIN, RECORD
from repository.prunes import Struck

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.repository.conftest import Repo

JOB = b"J" * 16


def summary(pack: int, ids: list[bytes], epoch: int = 1) -> PackSummary:
    at, records = 62, b""
    for chunk_id in ids:
        records += RECORD.pack(chunk_id, at, sealed_length(10), 10, RAW)
        at += sealed_length(10)
    return PackSummary(pack.to_bytes(16, "big"), epoch, (at // GRAIN + 2) * GRAIN, records)


def chunk(number: int) -> bytes:
    return random.Random(number).randbytes(32)


def publish(repo: "Repo", packs: list[PackSummary], fence: int = 1) -> list[str]:
    return write_indexes(repo.store, repo.vault, repo.keys, 1, JOB, fence, packs)


def test_chunks_are_found_where_their_packs_say(make_index: "Callable[[], ChunkIndex]") -> None:
    index = make_index()
    index.add_pack(summary(1, [chunk(1), chunk(2)]))
    index.add_pack(summary(2, [chunk(3)], epoch=2))
    assert index.contains(chunk(2))
    assert not index.contains(chunk(4))
    assert index.locate(chunk(2)) == Location((1).to_bytes(16, "big"), 1, 62 + 82, 82, 10, RAW)
    assert index.locate(chunk(3)).epoch == 2
    with pytest.raises(ChunkMissing) as caught:
        index.locate(chunk(4))
    assert caught.value.chunk_id == chunk(4)


def test_it_grows_and_loses_nothing() -> None:
    index = Index()
    for pack in range(30):
        index.add_pack(summary(pack, [chunk(pack * 200 + number) for number in range(200)]))
    assert len(index) == 6000
    for number in range(6000):
        assert index.locate(chunk(number)).pack == (number // 200).to_bytes(16, "big")
    assert not any(index.contains(chunk(number)) for number in range(6000, 9000))


@given(st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=10, unique=True), max_size=20))
def test_it_agrees_with_a_dictionary(packs: list[list[int]]) -> None:
    index = Index()
    expected: dict[bytes, bytes] = {}
    # Ids that all begin alike: every one of them collides.
    for pack, numbers in enumerate(packs):
        ids = [bytes(8) + number.to_bytes(24, "big") for number in numbers]
        index.add_pack(summary(pack, ids))
        for chunk_id in ids:
            expected.setdefault(chunk_id, pack.to_bytes(16, "big"))
    for number in range(41):
        chunk_id = bytes(8) + number.to_bytes(24, "big")
        assert index.contains(chunk_id) == (chunk_id in expected)
        if chunk_id in expected:
            assert index.locate(chunk_id).pack == expected[chunk_id]


def test_index_objects_come_back_and_only_new_ones_are_loaded(
    repo: "Repo", make_index: "Callable[[], ChunkIndex]"
) -> None:
    publish(repo, [summary(1, [chunk(1)])], fence=1)
    index = make_index()
    repo.refresh(index)
    assert index.contains(chunk(1))
    first = index_name(segment_id(JOB, 1, 0))
    repo.damage(first, lambda _: b"never read again")
    publish(repo, [summary(2, [chunk(2)])], fence=2)
    repo.refresh(index)
    assert index.contains(chunk(2))


def test_a_replaced_index_object_takes_its_chunks_with_it(
    repo: "Repo", make_index: "Callable[[], ChunkIndex]"
) -> None:
    old, new = summary(1, [chunk(1), chunk(2)]), summary(2, [chunk(2)])
    names = publish(repo, [old], fence=1)
    index = make_index()
    repo.refresh(index)
    publish(repo, [new], fence=2)
    repo.store.delete(names[0])
    repo.refresh(index)
    assert not index.contains(chunk(1))
    assert index.locate(chunk(2)).pack == new.id


def test_a_damaged_index_object_is_reported_and_the_others_serve(
    repo: "Repo", make_index: "Callable[[], ChunkIndex]"
) -> None:
    good, bad = publish(repo, [summary(1, [chunk(1)])], 1)[0], publish(repo, [summary(2, [chunk(2)])], 2)[0]
    repo.damage(bad, lambda data: data[:-1])
    index = make_index()
    with pytest.raises(ObjectDamaged):
        index.refresh(repo.store, repo.vault, repo.keys)
    found: list[str] = []
    index.refresh(repo.store, repo.vault, repo.keys, lambda name, _: found.append(name))
    assert found == [bad]
    assert good != bad
    assert index.contains(chunk(1))


def test_a_swapped_index_object_is_refused(repo: "Repo", make_index: "Callable[[], ChunkIndex]") -> None:
    one, two = publish(repo, [summary(1, [chunk(1)])], 1)[0], publish(repo, [summary(2, [chunk(2)])], 2)[0]
    repo.damage(one, lambda _: (repo.folder / two).read_bytes())
    with pytest.raises(RepositoryError):
        repo.refresh(make_index())


def test_writing_the_same_again_is_no_error_and_other_packs_are(repo: "Repo") -> None:
    packs = [summary(1, [chunk(1)])]
    assert publish(repo, packs) == publish(repo, packs)
    with pytest.raises(ObjectExists):
        publish(repo, [summary(2, [chunk(2)])])


def test_a_pack_that_several_segments_name_is_written_once(repo: "Repo") -> None:
    pack = summary(1, [chunk(1)])
    publish(repo, [pack, summary(2, [chunk(2)]), pack])
    assert len(read_index(repo.store, repo.vault, repo.keys, segment_id(JOB, 1, 0))) == 2


def test_many_packs_take_several_objects(repo: "Repo", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "_PER_OBJECT", 1000)
    packs = [summary(pack, [chunk(pack * 5 + number) for number in range(5)]) for pack in range(20)]
    names = publish(repo, packs)
    assert len(names) > 3
    assert len(repo.loaded()) == 100


def test_an_index_by_a_key_holder_who_breaks_the_rules_is_refused(repo: "Repo") -> None:
    index_id = segment_id(JOB, 1, 0)
    bad = PackSummary(b"P" * 16, 1, GRAIN, b"short")
    header = repo.vault.header(Kind.INDEX, 1, index_id)
    put_struct(repo.store, index_name(index_id), repo.keys.dek(1), header, IndexBody([bad]), MAX_INDEX)
    with pytest.raises(ObjectDamaged):
        read_index(repo.store, repo.vault, repo.keys, index_id)


def test_packs_of_a_dead_attempt_are_adopted_from_their_own_tables(
    repo: "Repo", make_index: "Callable[[], ChunkIndex]"
) -> None:
    _, stored = repo.segment({b"/a": random.Random(1).randbytes(50_000)})
    (repo.folder / "packs/zz").mkdir()
    (repo.folder / "packs/zz/stray").write_bytes(b"x")
    index = make_index()
    found: list[str] = []
    adopted = adopt_packs(repo.store, repo.vault, repo.keys, index, lambda name, _: found.append(name))
    assert adopted == stored
    assert found == ["packs/zz/stray"]
    chunk_id = stored[0].records[:32]
    assert index.contains(chunk_id)
    assert index.unindexed_pack_of(chunk_id) == stored[0]
    assert adopt_packs(repo.store, repo.vault, repo.keys, index, lambda *_: None) == []


def test_a_pack_is_unindexed_until_an_index_object_names_it(
    repo: "Repo", make_index: "Callable[[], ChunkIndex]"
) -> None:
    _, (pack,) = repo.segment({b"/a": b"some data"})
    chunk_id = pack.records[:32]
    index = make_index()
    index.add_pack(pack)
    assert index.unindexed_pack_of(chunk_id) == pack
    assert index.unindexed_pack_of(chunk(1)) is None
    publish(repo, [pack])
    repo.refresh(index)
    assert index.unindexed_pack_of(chunk_id) is None
    assert index.contains(chunk_id)
    assert index.locate(chunk_id).pack == pack.id


def test_what_only_this_process_knows_can_be_forgotten(
    repo: "Repo", make_index: "Callable[[], ChunkIndex]"
) -> None:
    publish(repo, [summary(1, [chunk(1)])])
    index = make_index()
    repo.refresh(index)
    index.add_pack(summary(2, [chunk(2)]))
    index.forget_unindexed()
    repo.refresh(index)
    assert index.contains(chunk(1))
    assert not index.contains(chunk(2))


def test_a_pack_that_is_indexed_is_not_learnt_as_unindexed(
    repo: "Repo", make_index: "Callable[[], ChunkIndex]"
) -> None:
    pack = summary(1, [chunk(1)])
    publish(repo, [pack])
    index = make_index()
    repo.refresh(index)
    index.add_pack(pack)
    assert index.knows_pack(pack.id)
    assert not index.knows_pack(bytes(16))
    assert index.unindexed_pack_of(chunk(1)) is None


def test_a_chunk_in_an_indexed_and_in_another_pack_is_indexed(
    repo: "Repo", make_index: "Callable[[], ChunkIndex]"
) -> None:
    publish(repo, [summary(1, [chunk(1)])])
    index = make_index()
    repo.refresh(index)
    index.add_pack(summary(2, [chunk(1), chunk(2)]))
    assert index.unindexed_pack_of(chunk(1)) is None
    assert index.unindexed_pack_of(chunk(2)) == summary(2, [chunk(1), chunk(2)])
    assert (index.contains(chunk(1)), index.contains(chunk(2))) == (True, True)


def test_pack_names_and_ids_agree(repo: "Repo") -> None:
    _, (pack,) = repo.segment({b"/a": b"some data"})
    assert repo.stored("packs/") == [pack_name(pack.id)]


def test_a_struck_pack_is_as_good_as_not_there_and_hides_no_other(
    repo: "Repo", make_index: "Callable[[], ChunkIndex]"
) -> None:
    _, first = repo.segment({b"/a": b"a" * 40_000})
    repo.publish(first)
    index = make_index()
    repo.refresh(index)
    ids = [record[0] for record in RECORD.iter_unpack(first[0].records)]
    struck = Struck(frozenset({"prunes/x/mark"}), frozenset({first[0].id}))
    index.refresh(repo.store, repo.vault, repo.keys, struck=struck)
    assert not any(map(index.contains, ids))
    _, second = repo.segment({b"/a": b"a" * 40_000})
    repo.publish(second)
    index.refresh(repo.store, repo.vault, repo.keys, struck=struck)
    assert {index.locate(each).pack for each in ids} == {second[0].id}
    late = make_index()
    late.refresh(repo.store, repo.vault, repo.keys)
    late.refresh(repo.store, repo.vault, repo.keys, struck=struck)
    assert {late.locate(each).pack for each in ids} == {second[0].id}, "it hid behind the struck one"
    late.refresh(repo.store, repo.vault, repo.keys)
    assert all(map(late.contains, ids))
