"""What is particular to a repository in a folder: crashes, a full disk, permissions, links."""

import contextlib
import errno
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from repository import directory
from repository.directory import DirectoryPruner, DirectoryReader, DirectoryWriter
from repository.errors import (
    ObjectExists,
    ObjectMissing,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreMissing,
    StoreUnreachable,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mount = tmp_path / "disk"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(mount)], check=True)
    try:
        yield mount
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.startswith(".")]


def test_only_the_owner_may_look(folder: Path) -> None:
    store = DirectoryWriter(folder, create=True)
    store.put("packs/ab/abcd", [b"x"])
    for path in (folder, folder / "packs", folder / "packs/ab"):
        assert path.stat().st_mode & 0o777 == 0o700
    assert (folder / "packs/ab/abcd").stat().st_mode & 0o777 == 0o600


def test_a_missing_folder_is_not_made_by_readers_and_writers(folder: Path) -> None:
    for make in (DirectoryReader, DirectoryWriter, DirectoryPruner):
        with pytest.raises(StoreMissing, match="no folder"):
            make(folder)
    assert not folder.exists()


def test_power_to_read_is_no_power_to_write_or_delete(folder: Path) -> None:
    writer = DirectoryWriter(folder, create=True)
    assert not hasattr(DirectoryReader(folder), "put")
    assert not hasattr(writer, "delete")


def test_what_a_dead_upload_left_is_never_listed_and_can_be_swept(folder: Path) -> None:
    store = DirectoryPruner(folder, create=True)
    store.put("packs/ab/abcd", [b"x"])
    left = folder / "packs/ab/.upload-0011223344556677"
    left.write_bytes(b"half")
    assert list(store.list("")) == ["packs/ab/abcd"]
    assert store.sweep(older_than_s=60) == 0  # it may still be written
    os.utime(left, (time.time() - 100, time.time() - 100))
    assert store.sweep(older_than_s=60) == 1
    assert leftovers(folder) == []
    assert store.get("packs/ab/abcd", 1) == b"x"


def test_a_full_disk_leaves_nothing_and_spares_what_is_there(small_disk: Path) -> None:
    store = DirectoryPruner(small_disk)
    store.put("packs/aa/first", [bytes(400_000)])
    for _ in range(10):
        with pytest.raises(StoreFull) as caught:
            store.put("packs/aa/second", [bytes(400_000), bytes(400_000)])
        assert caught.value.remedy
        assert leftovers(small_disk) == []
    assert list(store.list("")) == ["packs/aa/first"]
    assert store.get("packs/aa/first", 400_000) == bytes(400_000)
    store.put("packs/aa/third", [bytes(100_000)])
    store.delete("packs/aa/first")
    store.put("packs/aa/second", [bytes(400_000), bytes(400_000)])


def test_killed_writers_leave_whole_objects_only(folder: Path) -> None:
    body = bytes(range(256)) * 4096
    for round_number in range(8):
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                store = DirectoryWriter(folder, create=True)
                for number in range(10_000):
                    store.put(f"packs/aa/{round_number}-{number}", [body])
            os._exit(0)
        time.sleep(0.01 + 0.004 * round_number)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        store = DirectoryPruner(folder, create=True)
        for name in store.list(""):
            assert store.get(name, len(body)) == body
        for path in folder.rglob("packs/aa/*"):
            path.unlink()


def test_symbolic_links_are_neither_listed_nor_followed(folder: Path, tmp_path: Path) -> None:
    store = DirectoryPruner(folder, create=True)
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / "config").symlink_to(tmp_path / "secret")
    assert list(store.list("")) == []
    with pytest.raises(StoreDenied):
        store.get("config", 100)
    with pytest.raises(ObjectExists):
        store.put("config", [b"x"])
    assert (tmp_path / "secret").read_bytes() == b"secret"


def test_a_folder_or_a_fifo_is_no_object(folder: Path) -> None:
    store = DirectoryPruner(folder, create=True)
    (folder / "config").mkdir()
    os.mkfifo(folder / "pipe")
    for name in ("config", "pipe"):
        with pytest.raises(ObjectMissing):
            store.get(name, 10)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, StoreFull),
        (errno.EDQUOT, StoreFull),
        (errno.EIO, StoreUnreachable),
        (errno.ESTALE, StoreUnreachable),
        (errno.EACCES, StoreDenied),
        (errno.EROFS, StoreDenied),
        (errno.ENOENT, ObjectMissing),
        (errno.EXDEV, StoreError),
    ],
)
def test_no_errno_gets_out_untranslated(number: int, kind: type[StoreError]) -> None:
    with pytest.raises(StoreError) as caught, directory.translated("name"):
        raise OSError(number, "secret path in here")
    assert type(caught.value) is kind
    assert isinstance(caught.value.__cause__, OSError)
    assert "secret" not in str(caught.value)


def test_the_object_is_synced_before_it_has_its_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = DirectoryWriter(folder, create=True)
    store.put("packs/aa/warm", [b"x"])
    steps: list[str] = []
    for name in ("fsync", "link"):
        real = getattr(os, name)

        def record(*args: object, _real: object = real, _name: str = name, **kwargs: object) -> object:
            steps.append(_name)
            assert callable(_real)
            return _real(*args, **kwargs)

        monkeypatch.setattr(os, name, record)
    store.put("packs/aa/abcd", [b"x"])
    assert steps == ["fsync", "link", "fsync"]
