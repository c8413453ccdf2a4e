"""The folder through which parcels pass: whole or not at all, never over another, and files used again."""

import os
import threading
from pathlib import Path

import pytest

from repository.errors import ObjectExists, ObjectMissing, StoreError
from repository.handover import HandoverPruner, HandoverWriter

PARCEL = [b"head", bytes(range(256)) * 1000]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "job").mkdir()
    return tmp_path


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "job").iterdir() if path.name.startswith("."))


def test_a_file_that_was_given_back_holds_the_next_object(folder: Path):
    writer, reader = HandoverWriter(folder), HandoverPruner(folder)
    writer.put("job/0-0", PARCEL)
    inode = (folder / "job" / "0-0").stat().st_ino
    reader.delete("job/0-0")
    with pytest.raises(ObjectMissing):
        reader.size("job/0-0")
    assert list(reader.list("")) == []
    writer.put("job/0-1", [b"shorter"])
    assert (folder / "job" / "0-1").stat().st_ino == inode
    assert reader.get("job/0-1", 100) == b"shorter", "and nothing of what it held before"
    assert hidden(folder) == []


def test_an_object_is_not_put_in_the_place_of_another(folder: Path):
    writer = HandoverWriter(folder)
    writer.put("job/0-0", PARCEL)
    with pytest.raises(ObjectExists):
        writer.put("job/0-0", [b"other"])
    assert writer.get("job/0-0", 1 << 20) == b"".join(PARCEL)
    assert hidden(folder) == []


def test_not_many_files_are_kept_free(folder: Path):
    writer, reader = HandoverWriter(folder), HandoverPruner(folder)
    for number in range(20):
        writer.put(f"job/0-{number}", [b"x"])
    for number in range(20):
        reader.delete(f"job/0-{number}")
    assert 0 < len(hidden(folder)) <= 4
    reader.delete("job/0-0")


def plant_link(free: Path, victim: Path) -> None:
    free.symlink_to(victim)


def plant_name(free: Path, victim: Path) -> None:
    os.link(victim, free)


def plant_fifo(free: Path, victim: Path) -> None:
    os.mkfifo(free)


def plant_foreign(free: Path, victim: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give a file away")
    free.write_bytes(b"kept")
    os.chown(free, 65534, 65534)


def plant_folder(free: Path, victim: Path) -> None:
    free.mkdir()
    (free / "file").write_bytes(b"kept")


@pytest.mark.parametrize("plant", [plant_link, plant_name, plant_fifo, plant_foreign, plant_folder])
def test_nothing_but_a_file_of_ours_is_written_over_or_removed(folder: Path, plant: object):
    victim = folder / "victim"
    victim.write_bytes(b"precious")
    free = folder / "job" / ".free-0-0"
    plant(free, victim)  # type: ignore[operator]
    before = free.lstat()
    HandoverWriter(folder).put("job/0-1", PARCEL)
    assert victim.read_bytes() == b"precious"
    assert (folder / "job" / "0-1").read_bytes() == b"".join(PARCEL)
    assert (folder / "job" / "0-1").stat().st_uid == os.geteuid()
    assert hidden(folder) == [".free-0-0"]
    assert (free.lstat().st_ino, free.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert not free.is_dir() or (free / "file").read_bytes() == b"kept"


def test_what_stands_where_a_parcel_should_is_no_parcel(folder: Path):
    (folder / "job" / "0-0").mkdir()
    (folder / "job" / "0-1").symlink_to(folder)
    writer, reader = HandoverWriter(folder), HandoverPruner(folder)
    for name in ("job/0-0", "job/0-1"):
        with pytest.raises(ObjectExists):
            writer.put(name, PARCEL)
        with pytest.raises(StoreError):
            reader.size(name)
    assert hidden(folder) == []


def test_writers_and_readers_side_by_side(folder: Path):
    writers = [threading.Thread(target=write, args=(folder, number)) for number in range(3)]
    for each in writers:
        each.start()
    reader = HandoverPruner(folder)
    seen = 0
    while seen < 3 * 40:
        for name in list(reader.list("job/")):
            segment, sequence = map(int, name.rpartition("/")[2].split("-"))
            assert reader.get(name, 1 << 20) == content(segment, sequence)
            reader.delete(name)
            seen += 1
    for each in writers:
        each.join()


def write(folder: Path, segment: int) -> None:
    writer = HandoverWriter(folder)
    for sequence in range(40):
        writer.put(f"job/{segment}-{sequence}", [content(segment, sequence)])


def content(segment: int, sequence: int) -> bytes:
    return bytes([segment, sequence]) * (50_000 + 700 * (sequence % 7))
