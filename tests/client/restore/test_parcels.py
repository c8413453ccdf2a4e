"""One parcel after another from a real delivery area."""

from pathlib import Path

import pytest

from client.errors import ChunkUnusable
from client.restore.parcels import ParcelOpener
from config.settings import StoreSettings
from crypto.errors import CryptoError
from crypto.hpke import HpkeKey
from crypto.registry import Registry
from repository.errors import ObjectMissing
from tests.client.deliveries import ParcelMaker, Worker, damage, now_ms


def opener(worker: Worker, registry: Registry | None = None, key: HpkeKey | None = None) -> ParcelOpener:
    return ParcelOpener(
        registry or worker.registry, key or worker.opening, worker.job, worker.area.as_uri(), StoreSettings()
    )


def maker_of(*paths: bytes) -> ParcelMaker:
    maker = ParcelMaker()
    for path in paths:
        maker.file(path, path * 100)
    return maker


def test_a_parcel_is_good_until_the_next_one_and_removed_when_it_is_done_with(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    places = [worker.deliver(0, number, maker_of(b"/%d" % number)) for number in range(2)]
    parcels = opener(worker)
    for number in range(2):
        parcel = parcels.open(0, number, now_ms())
        assert [piece.path for piece in parcel.table.pieces] == [b"/%d" % number]
        parcels.remove(0, number)
        assert not places[number].exists()
    parcels.remove(0, 1)  # again is no trouble
    with pytest.raises(ObjectMissing):
        parcels.open(0, 1, now_ms())


def test_a_parcel_of_another_snapshot_is_not_mixed_in(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    worker.deliver(0, 0, maker_of(b"/a"))
    with pytest.raises(ChunkUnusable, match="another snapshot") as refused:
        opener(worker).open(0, 0, now_ms(), b"s" * 16)
    assert refused.value.remedy


def test_what_was_put_there_by_somebody_else_is_not_opened(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    first = worker.deliver(0, 0, maker_of(b"/a"))
    for sealed_for in ((0, 1), (1, 0)):
        first.write_bytes(worker.seal(*sealed_for, maker_of(b"/a")))
        with pytest.raises(CryptoError):
            opener(worker).open(0, 0, now_ms())
    worker.deliver(0, 0, maker_of(b"/a"))
    with pytest.raises(CryptoError):
        opener(worker, registry=Registry()).open(0, 0, now_ms())
    with pytest.raises(CryptoError):
        opener(worker, key=HpkeKey.generate()).open(0, 0, now_ms())
    damage(first)
    with pytest.raises(CryptoError):
        opener(worker).open(0, 0, now_ms())
