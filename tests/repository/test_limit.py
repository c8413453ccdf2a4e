"""A store that takes no more than its share: operations at once, and bytes per second on average."""

from pathlib import Path

import pytest

from repository.directory import DirectoryPruner
from repository.errors import ObjectMissing
from repository.limit import LimitedPruner, Limits


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_bytes_per_second_hold_on_average(tmp_path: Path):
    clock = Clock()
    limits = Limits(bytes_per_s=10.0, clock=lambda: clock.now, sleep=clock.sleep)
    store = LimitedPruner(DirectoryPruner(tmp_path / "store", create=True), limits)
    store.put("a", [bytes(50)])
    assert clock.slept == []
    assert store.get("a", 50) == bytes(50)
    assert clock.slept == [5.0]
    store.get_range("a", 0, 20)
    assert clock.slept == [5.0, 5.0]
    with pytest.raises(ObjectMissing):
        store.read_into("none", 0, memoryview(bytearray(1 << 20)))
    assert clock.slept == [5.0, 5.0, 2.0]
    store.size("a")
    clock.now += 100.0
    store.put("b", [b"x"])
    assert clock.slept == [5.0, 5.0, 2.0], "bytes that were not moved cost nothing"


def test_only_so_many_operations_at_once():
    limits = Limits(operations=2)
    with limits.operating(), limits.operating():
        assert not limits._free.acquire(blocking=False)
    assert limits._free.acquire(blocking=False)
