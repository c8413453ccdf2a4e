"""What is named and what is used, however little memory there is to compare it in."""

import random
from pathlib import Path

import pytest

from crypto.sealing import sealed_length
from repository.census import Census
from repository.compression import RAW
from repository.errors import CacheUnusable
from repository.manifest import PackSummary
from repository.pack import RECORD
from repository.walk import Walk

TINY = 2000
"""Bytes in memory: some tens of records."""


def pack(dice: random.Random, chunks: list[bytes]) -> PackSummary:
    records = b"".join(RECORD.pack(each, 62, sealed_length(100), 100, RAW) for each in chunks)
    return PackSummary(dice.randbytes(16), 1, 1 << 14, records)


@pytest.mark.parametrize("in_memory", [TINY, 1 << 20])
def test_it_finds_what_a_comparison_in_memory_finds(tmp_path: Path, in_memory: int) -> None:
    dice = random.Random(4)
    chunks = [dice.randbytes(32) for _ in range(300)]
    places: dict[bytes, set[tuple[int, int, int]]] = {}
    uses: dict[bytes, list[tuple[int, int]]] = {}
    with Census(tmp_path, Walk(), in_memory) as census:
        packs = []
        for _ in range(40):
            held = dice.sample(chunks[:250], 20)
            flaws = {each: dice.randrange(1, 4) for each in dice.sample(held, 3)}
            packs.append(pack(dice, held))
            number = census.add_pack(packs[-1])
            census.add_places(number, packs[-1].records, flaws)
            for each in held:
                places.setdefault(each, set()).add((number, 100, flaws.get(each, 0)))
        again = census.add_pack(packs[7])
        for _ in range(60):
            used = dice.sample(chunks[50:], 15)
            key = dice.randrange(1 << 64)
            census.add_uses(key, [(each, 100) for each in used])
            for each in used:
                uses.setdefault(each, []).append((key, 100))
        found = [(chunk.id, set(chunk.places), list(chunk.uses)) for chunk in census.chunks()]
        numbers = dict(census.sorted_packs())
        assert list(numbers) == sorted(each.id for each in packs)
        assert numbers[packs[7].id] == [7, again]
    assert [chunk_id for chunk_id, _, _ in found] == sorted(places.keys() | uses.keys())
    for chunk_id, found_places, found_uses in found:
        assert found_places == places.get(chunk_id, set())
        assert sorted(found_uses) == sorted(uses.get(chunk_id, []))
    assert list(tmp_path.iterdir()) == []


def test_uses_that_nobody_looks_at_are_passed_over(tmp_path: Path) -> None:
    with Census(tmp_path, Walk()) as census:
        census.add_uses(1, [(b"a" * 32, 5), (b"b" * 32, 6)])
        census.add_uses(2, [(b"a" * 32, 5)])
        assert [chunk.id for chunk in census.chunks()] == [b"a" * 32, b"b" * 32]


def test_without_a_disk_little_is_compared_in_memory_and_much_is_refused(tmp_path: Path) -> None:
    dice = random.Random(5)
    with Census(tmp_path / "not there", Walk(), TINY) as census:
        census.add_uses(1, [(dice.randbytes(32), 5)])
        assert len(list(census.chunks())) == 1
        with pytest.raises(CacheUnusable) as refused:
            census.add_uses(2, [(dice.randbytes(32), 5) for _ in range(200)])
    assert "cache" in refused.value.remedy
