import fcntl
import os
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from client import delivery
from client.delivery import ParcelReader, area_of, delivering_to, delivery_area, parcel_name
from client.installation import Installation
from config.errors import ConfigError
from config.home import Home
from config.settings import Settings
from crypto.errors import Malformed
from crypto.identity import Identity
from crypto.parcel import MAX_PARCEL
from crypto.registry import OPERATOR, Registry
from repository.errors import ObjectMissing, StoreMissing
from repository.stores import open_pruner, open_writer
from tests.s3_server import DELIVERIES, S3Server

JOB = bytes(range(16))


def installation(root: Path, area: str = "") -> Installation:
    made = Installation(Home(root), Settings(), Registry(), Identity.generate(OPERATOR))
    return delivering_to(made, area) if area else made


@pytest.fixture
def area(s3: S3Server) -> str:
    """A prefix in a bucket, as those see it who may use nothing else."""
    return s3.uri(f"areas/{secrets.token_hex(8)}", DELIVERIES, profile="deliveries")


def test_the_folder_of_a_job_is_there_for_as_long_as_it_is_needed(tmp_path: Path):
    home = Home(tmp_path)
    with delivery_area(installation(tmp_path), JOB) as uri:
        folder = home.delivery / JOB.hex()
        assert uri == home.delivery.as_uri()
        (folder / "0-0").write_bytes(b"parcel")
    assert list(home.delivery.iterdir()) == []


def test_folders_of_dead_commands_are_removed_and_of_living_ones_are_not(tmp_path: Path):
    home = Home(tmp_path)
    dead, living = home.delivery / ("00" * 16), home.delivery / ("11" * 16)
    for folder in (dead, living):
        folder.mkdir(parents=True)
        (folder / "0-0").write_bytes(b"parcel")
    lock = os.open(living, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with delivery_area(installation(tmp_path), JOB):
        assert not dead.exists()
        assert (living / "0-0").exists()
    os.close(lock)


def strange_area(area: Path) -> None:
    area.mkdir()


def no_text(area: Path) -> None:
    area.write_bytes(b"\xff\xfe file:")


def no_place(area: Path) -> None:
    area.write_text("ftp://somewhere")


def nobody_writes(area: Path) -> None:
    os.mkfifo(area)


def pointing_elsewhere(area: Path) -> None:
    area.symlink_to("/proc/self/mem")


@pytest.mark.parametrize("plant", [strange_area, no_text, no_place, nobody_writes, pointing_elsewhere])
def test_strange_things_among_deliveries_are_left_alone(
    tmp_path: Path, plant: Callable[[Path], None]
) -> None:
    home = Home(tmp_path)
    dead, kept = home.delivery / ("00" * 16), home.delivery / "kept"
    for folder in (dead, kept):
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(b"precious")
    plant(dead / ".area")
    (home.delivery / ("22" * 16)).write_bytes(b"a file where a job's folder should be")
    with delivery_area(installation(tmp_path), JOB) as uri:
        assert uri == home.delivery.as_uri()
    assert [(folder / "file").read_bytes() for folder in (dead, kept)] == [b"precious"] * 2
    assert sorted(os.listdir(home.delivery)) == ["00" * 16, "22" * 16, "kept"]


def test_a_folder_that_another_command_sweeps_before_it_is_locked_is_made_again(tmp_path: Path):
    home, settings, over = Home(tmp_path), Settings().store, threading.Event()
    home.delivery.mkdir(parents=True)

    def sweep() -> None:
        while not over.is_set():
            delivery._sweep(home.delivery, settings)

    with ThreadPoolExecutor(1) as pool:
        sweeping = pool.submit(sweep)
        try:
            for number in range(300):
                with delivery_area(installation(tmp_path), number.to_bytes(16, "big")):
                    assert (home.delivery / number.to_bytes(16, "big").hex()).is_dir()
        finally:
            over.set()
        sweeping.result()


def test_parcels_are_read_whole_and_removed(tmp_path: Path):
    with delivery_area(installation(tmp_path), JOB) as uri:
        place = Home(tmp_path).delivery / parcel_name(JOB, 1, 2)
        reader = ParcelReader(uri, JOB)
        for content in (b"long" * 100, b"short"):
            place.write_bytes(content)
            assert reader.read(1, 2) == content
            reader.remove(1, 2)
            assert not place.exists()
        reader.remove(1, 2)
        with pytest.raises(ObjectMissing):
            reader.read(1, 2)


def test_a_parcel_that_is_too_large_is_not_read(tmp_path: Path):
    with delivery_area(installation(tmp_path), JOB) as uri:
        with (Home(tmp_path).delivery / parcel_name(JOB, 0, 0)).open("wb") as file:
            file.truncate(MAX_PARCEL + 1)
        with pytest.raises(Malformed):
            ParcelReader(uri, JOB).read(0, 0)


def test_parcels_in_a_bucket_are_read_removed_and_cleared(tmp_path: Path, area: str):
    with delivery_area(installation(tmp_path, area), JOB) as uri:
        worker = open_writer(uri)
        for sequence in range(3):
            worker.put(parcel_name(JOB, 0, sequence), [b"parcel", bytes([sequence])])
        worker.put(parcel_name(bytes(16), 0, 0), [b"of another job"])
        reader = ParcelReader(uri, JOB)
        assert reader.read(0, 1) == b"parcel\x01"
        reader.remove(0, 1)
        reader.remove(0, 1)
        with pytest.raises(ObjectMissing):
            reader.read(0, 1)
        assert len(list(worker.list(f"{JOB.hex()}/"))) == 2
    assert list(worker.list("")) == [parcel_name(bytes(16), 0, 0)]
    assert list(Home(tmp_path).delivery.iterdir()) == []


def test_what_a_dead_command_left_in_a_bucket_is_removed_by_the_next(tmp_path: Path, area: str):
    child = os.fork()
    if not child:
        with delivery_area(installation(tmp_path, area), JOB) as uri:
            open_writer(uri).put(parcel_name(JOB, 0, 0), [b"parcel"])
            os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    assert list(open_pruner(area).list("")) == [parcel_name(JOB, 0, 0)]
    with delivery_area(installation(tmp_path), bytes(16)):  # wherever the next one delivers to
        assert list(open_pruner(area).list("")) == []
    look_again(tmp_path, area)


def test_what_comes_after_a_cancel_is_removed_by_a_later_command(tmp_path: Path, area: str):
    with delivery_area(installation(tmp_path, area), JOB, lambda: False) as uri:
        worker = open_writer(uri)
        worker.put(parcel_name(JOB, 0, 0), [b"parcel"])
    assert list(worker.list("")) == []
    look_again(tmp_path, area)


def look_again(root: Path, area: str) -> None:
    """Two commands after one that was cut short: the first comes soon, the other when every worker has stopped."""
    deliveries = Home(root).delivery
    for settled in (False, True):
        open_writer(area).put(parcel_name(JOB, 0, 1), [b"a worker was sending it"])
        marks = list(deliveries.glob("*/.cleared"))
        assert len(marks) == 1
        if settled:
            os.utime(marks[0], (0, time.time() - delivery.SETTLE_S - 1))
        with delivery_area(installation(root), bytes(16)):
            assert list(open_pruner(area).list("")) == []
    assert list(deliveries.iterdir()) == []


def test_parcels_in_another_folder(tmp_path: Path):
    area = (tmp_path / "elsewhere").as_uri()
    with delivery_area(installation(tmp_path / "home", area), JOB) as uri:
        assert uri == area
        open_writer(uri).put(parcel_name(JOB, 0, 0), [b"parcel"])
        assert ParcelReader(uri, JOB).read(0, 0) == b"parcel"
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_an_area_that_is_none_is_refused(tmp_path: Path, s3: S3Server):
    with pytest.raises(ConfigError, match=r"delivery\.area"):
        area_of(installation(tmp_path, "s3://x"))
    settings = msgspec.structs.replace(Settings().store, deadline_s=1.0)
    with pytest.raises(StoreMissing):
        ParcelReader(s3.uri("x", "no-such-bucket"), JOB, settings).read(0, 0)
