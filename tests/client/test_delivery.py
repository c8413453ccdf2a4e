import fcntl
import os
from pathlib import Path

import pytest

from client.delivery import ParcelReader, delivery_area, parcel_name
from config.home import Home
from crypto.errors import Malformed
from crypto.parcel import MAX_PARCEL
from repository.errors import ObjectMissing

JOB = bytes(range(16))


def test_the_folder_of_a_job_is_there_for_as_long_as_it_is_needed(tmp_path: Path):
    home = Home(tmp_path)
    with delivery_area(home, JOB) as uri:
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
    with delivery_area(home, JOB):
        assert not dead.exists()
        assert (living / "0-0").exists()
    os.close(lock)


def test_parcels_are_read_whole_and_removed(tmp_path: Path):
    with delivery_area(Home(tmp_path), JOB) as uri:
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
    with delivery_area(Home(tmp_path), JOB) as uri:
        with (Home(tmp_path).delivery / parcel_name(JOB, 0, 0)).open("wb") as file:
            file.truncate(MAX_PARCEL + 1)
        with pytest.raises(Malformed):
            ParcelReader(uri, JOB).read(0, 0)
