"""The index objects of a vault as tables: what they say, and that what they lost is noticed."""

import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.sealing import sealed_length
from repository.access import VaultId
from repository.cache import tables as module
from repository.cache.tables import ChunkTables, batched
from repository.compression import RAW
from repository.errors import CacheDamaged, CacheUnusable
from repository.manifest import PackSummary
from repository.pack import RECORD

VAULT = VaultId(b"T" * 16, b"V" * 16)
ONE, OTHER, LATER = (bytes([number]) * 16 for number in (1, 2, 3))


def chunk(number: int) -> bytes:
    return random.Random(number).randbytes(32)


def pack(number: int, chunks: Sequence[int]) -> PackSummary:
    records = b"".join(RECORD.pack(chunk(each), 62, sealed_length(100), 100, RAW) for each in chunks)
    return PackSummary(number.to_bytes(16, "big"), 1, 1 << 14, records)


Objects = dict[bytes, Sequence[PackSummary]]
OBJECTS: Objects = {ONE: [pack(1, [1, 2, 3])], OTHER: [pack(2, [3, 4]), pack(3, [5])]}


def enter(tables: ChunkTables, objects: Objects, *, build: bool = False) -> None:
    def read(ids: Sequence[bytes]) -> Iterable[tuple[bytes, Sequence[PackSummary]]]:
        return [(each, objects[each]) for each in ids]

    with tables.exclusive():
        (tables.build if build else tables.learn)(list(objects), read)


@pytest.fixture
def tables(tmp_path: Path) -> ChunkTables:
    made = ChunkTables(tmp_path / "vault", VAULT)
    enter(made, OBJECTS, build=True)
    assert made.open()
    return made


def packs_of(tables: ChunkTables, number: int) -> list[int]:
    return [int.from_bytes(place.pack, "big") for place in tables.places(chunk(number))]


def test_a_chunk_has_all_its_places_the_first_first(tables: ChunkTables) -> None:
    assert [packs_of(tables, number) for number in range(1, 7)] == [[1], [1], [1, 2], [2], [3], []]
    found = tables.find(chunk(3))
    assert found is not None
    assert found == tables.places(chunk(3))[0]
    assert (tables.holds(chunk(3)), tables.holds(chunk(6)), tables.find(chunk(6))) == (True, False, None)
    assert (tables.objects(), tables.begun()) == ({ONE, OTHER}, frozenset())


@pytest.mark.parametrize("inserted", [1, 2048])
def test_what_is_learnt_later_changes_no_place_that_was_known(
    tables: ChunkTables, monkeypatch: pytest.MonkeyPatch, inserted: int
) -> None:
    monkeypatch.setattr(module, "INSERTED", inserted)
    enter(tables, {LATER: [pack(4, [1, 3, 6])]})
    assert [packs_of(tables, number) for number in (1, 3, 4, 6)] == [[1, 4], [1, 2, 4], [2], [4]]
    assert tables.objects() == {ONE, OTHER, LATER}
    enter(tables, {LATER: [pack(4, [1, 3, 6])]})
    assert packs_of(tables, 3) == [1, 2, 4], "learning twice adds nothing"
    assert tables.is_sound()


def test_no_more_places_are_looked_at_than_are_of_use(tables: ChunkTables) -> None:
    for number in range(10, 30):
        enter(tables, {number.to_bytes(16, "big"): [pack(number, [3])]})
    assert packs_of(tables, 3)[0] == 1
    assert len(packs_of(tables, 3)) == module.MOST_PLACES


def test_packs_are_told_in_order_piece_by_piece(tables: ChunkTables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "APPENDED", 2)
    found, after = [], b""
    while piece := tables.packs(after):
        assert len(piece) <= 2
        found += piece
        after = piece[-1]
    assert found == [pack(number, []).id for number in (1, 2, 3)]
    assert (tables.knows_pack(found[0]), tables.knows_pack(bytes(16))) == (True, False)


def test_an_object_that_could_not_be_read_whole_stays_begun_and_is_no_objects(tables: ChunkTables) -> None:
    def fail(ids: Sequence[bytes]) -> Iterable[tuple[bytes, Sequence[PackSummary]]]:
        yield ids[0], [pack(4, [6])]
        raise OSError(28, "No space left on device")

    with tables.exclusive(), pytest.raises(CacheUnusable, match="No space"):
        tables.learn([LATER], fail)
    assert (LATER in tables.objects(), tables.begun()) == (False, {LATER})
    enter(tables, {LATER: [pack(4, [6])]})
    assert (LATER in tables.objects(), tables.begun()) == (True, frozenset())
    assert packs_of(tables, 6) == [4]


def test_entries_that_were_lost_or_altered_make_them_unsound(tables: ChunkTables) -> None:
    assert tables.is_sound()
    key = chunk(4)
    value = tables._env.get(b"chunks", key)
    assert value is not None
    tables._env.update(lambda update: update.set(b"chunks", [(key, bytes([value[0] ^ 1]) + value[1:])]))
    assert not tables.is_sound()
    with pytest.raises(CacheDamaged):
        tables.holds(key)
    with pytest.raises(CacheDamaged):
        tables.find(key)


def test_a_place_in_a_pack_that_is_lost_is_damage_and_not_an_absent_chunk(tables: ChunkTables) -> None:
    tables._env.update(lambda update: update.clear(b"places"))
    with pytest.raises(CacheDamaged, match="lost a pack"):
        tables.find(chunk(4))


@given(items=st.lists(st.integers()), most=st.integers(1, 5))
def test_batches_hold_all_in_order_and_none_is_empty_or_too_large(items: list[int], most: int) -> None:
    found = list(batched(items, most))
    assert [each for batch in found for each in batch] == items
    assert all(0 < len(batch) <= most for batch in found)
