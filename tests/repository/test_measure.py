"""What is measured of a store."""

from pathlib import Path

import pytest

from repository.directory import DirectoryPruner
from repository.errors import ObjectExists, ObjectMissing
from repository.measure import MeasuredPruner, Meter
from repository.stores import open_pruner


def test_operations_bytes_and_errors_of_each_kind(tmp_path: Path):
    meter = Meter()
    store = MeasuredPruner(DirectoryPruner(tmp_path / "store", create=True), meter)
    store.put("a", [b"123", b"45"])
    with pytest.raises(ObjectExists):
        store.put("a", [b"12345"])
    assert store.get("a", 5) == b"12345"
    assert store.get_range("a", 1, 2) == b"23"
    store.read_into("a", 0, memoryview(bytearray(4)))
    with pytest.raises(ObjectMissing):
        store.get("b", 1)
    assert list(store.list("")) == ["a"]
    assert store.size("a") == 5
    store.delete("a")
    counted = {kind: each[:2] + each[3:] for kind, each in meter.read().items()}
    assert counted == {
        "put": (2, 5, 1),
        "get": (4, 11, 1),
        "list": (1, 0, 0),
        "size": (1, 0, 0),
        "delete": (1, 0, 0),
    }
    assert all(each.seconds >= 0 for each in meter.read().values())


def test_every_attempt_is_measured(tmp_path: Path):
    meter = Meter()
    uri = (tmp_path / "store").as_uri()
    DirectoryPruner(tmp_path / "store", create=True)
    open_pruner(uri, meter=meter).put("a", [b"x"])
    assert meter.read()["put"].operations == 1
