"""Sorting more records than memory holds."""

import random
from pathlib import Path

import pytest

from repository.cache.records import LENGTH
from repository.cache.sorter import Sorter

DICE = random.Random(3)


@pytest.mark.parametrize("in_memory", [1 << 20, LENGTH * 50])
def test_records_come_back_sorted_and_each_id_once(tmp_path: Path, in_memory: int) -> None:
    ids = [DICE.randbytes(32) for _ in range(300)]
    records = [chunk_id + number.to_bytes(LENGTH - 32, "big") for number in (1, 2) for chunk_id in ids] + [
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
    assert [chunk_id for chunk_id, _ in found] == sorted([*ids, bytes(32), b"\xff" * 32])
    assert {value for _, value in found[1:-1]} == {(1).to_bytes(LENGTH - 32, "big")}
    assert not folder.exists()
