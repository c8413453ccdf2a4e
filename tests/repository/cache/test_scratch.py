"""A folder for one run: private, held, and removed by the next if the run was killed."""

import stat
from pathlib import Path

from repository.cache.scratch import scratch


def test_room_is_private_and_given_back(tmp_path: Path) -> None:
    with scratch(tmp_path / "cache" / "vault") as room:
        for folder in (room, room.parent, room.parent.parent):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (room / "file").write_bytes(b"x")
    assert list(room.parent.iterdir()) == []


def test_what_a_killed_run_left_is_removed_and_what_another_holds_is_not(tmp_path: Path) -> None:
    dead = tmp_path / "room" / "0123456789abcdef"
    dead.mkdir(parents=True)
    tmp_path.joinpath("room").chmod(0o700)
    (dead / "000").write_bytes(b"x")
    with scratch(tmp_path / "room") as one, scratch(tmp_path / "room") as other:
        assert not dead.exists()
        assert one.is_dir() and other.is_dir()


def test_a_folder_that_others_may_write_is_not_used(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with scratch(tmp_path) as room:
        assert not room.exists()
