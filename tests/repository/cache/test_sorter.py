"""Sorting more records than memory holds."""

import random
from pathlib import Path

import pytest

from repository.cache.records import LENGTH, decoded
from repository.cache.sorter import Sorter

DICE = random.Random(3)


@pytest.mark.parametrize("in_memory", [1 << 20, LENGTH * 50])
def test_records_come_back_sorted_and_further_places_of_an_id_under_longer_keys(
    tmp_path: Path, in_memory: int
) -> None:
    ids = [DICE.randbytes(32) for _ in range(300)]
    records = [
        chunk_id + number.to_bytes(4, "big") + bytes(LENGTH - 36) for number in (1, 2, 2) for chunk_id in ids
    ] + [
        bytes(LENGTH),
        b"\xff" * LENGTH,
    ]
    DICE.shuffle(records)
    folder = tmp_path / "sort"
    with Sorter(folder, in_memory) as sorter:
        for at in range(0, len(records), 20):
            sorter.add(records[at : at + 20])
        assert folder.exists() is (in_memory < len(records) * LENGTH)
        found = list(sorter.items())
    further = [chunk_id + (2).to_bytes(4, "big") for chunk_id in ids]
    assert [key for key, _ in found] == sorted([*ids, *further, bytes(32), b"\xff" * 32])
    inner = found[1:-1]
    assert {value for key, value in inner if len(key) == 32} == {(1).to_bytes(4, "big") + bytes(LENGTH - 36)}
    assert {decoded(key, value).pack for key, value in inner if len(key) > 32} == {2}
    assert not folder.exists()
