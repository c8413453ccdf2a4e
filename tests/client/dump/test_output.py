"""A dump's file is there when it is whole, and not before."""

import os
import stat
import threading
from pathlib import Path

import pytest

from client.dump.output import check_target, file_output
from client.errors import BadArgument


def test_a_file_appears_when_the_block_ends_well_and_is_its_owners(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with file_output(target) as out:
        out.write(b"content")
        assert not target.exists()
    assert target.read_bytes() == b"content"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_whatever_ends_the_block_the_old_file_stays_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    target = tmp_path / "out"
    target.write_bytes(b"old")

    def write_half() -> None:
        with file_output(target) as out:
            out.write(b"half")
            raise error

    with pytest.raises(error):
        write_half()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"out": b"old"}


def test_an_old_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.write_bytes(b"old")
    with target.open("rb") as reader, file_output(target) as out:
        out.write(b"new")
        assert reader.read() == b"old"
    assert target.read_bytes() == b"new"


def test_a_pipe_is_written_to_as_it_is(tmp_path: Path) -> None:
    target = tmp_path / "pipe"
    os.mkfifo(target)
    seen: list[bytes] = []
    reader = threading.Thread(target=lambda: seen.append(target.read_bytes()))
    reader.start()
    with file_output(target) as out:
        out.write(b"content")
    reader.join()
    assert seen == [b"content"]
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_what_cannot_be_written_to_is_told_before_anything_starts(tmp_path: Path) -> None:
    check_target(tmp_path / "new")
    (tmp_path / "file").touch()
    check_target(tmp_path / "file")
    for target in (tmp_path, tmp_path / "none/new", tmp_path / "file/new"):
        with pytest.raises(BadArgument) as refused:
            check_target(target)
        assert refused.value.remedy
