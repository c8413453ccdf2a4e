"""The file system behind the interface that every source has."""

import os
from pathlib import Path

from sources.filesystem.files import FileSource
from sources.patterns import Patterns
from sources.source import Wanted
from tests.sources.s3.conftest import Bytes


def test_what_a_walk_finds_can_be_read_whole_and_in_part(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"0123456789")
    (tmp_path / "link").symlink_to("file")
    source = FileSource([os.fsencode(tmp_path)])
    found = {each.path: each for each in source.walk(Patterns(), _never, _never)}
    file = found[os.fsencode(tmp_path / "file")]
    with source.reader() as reader:
        reader.expect([Wanted(file.path, file.size, file.stamp)])
        whole, part = Bytes(), Bytes()
        assert reader.read(Wanted(file.path, file.size, file.stamp), whole).size == 10
        reader.read(Wanted(file.path, file.size, file.stamp, 3, 4), part)
        assert (whole.data, part.data) == (b"0123456789", b"3456")
        assert reader.describe(os.fsencode(tmp_path / "link"), "l").size == 0
    assert source.roots == (os.fsencode(tmp_path),)
    assert source.host == ""


def test_a_look_inside_gives_what_there_is_and_no_error(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"0123456789")
    source = FileSource([os.fsencode(tmp_path)])
    out = memoryview(bytearray(4))
    assert source.look(os.fsencode(tmp_path / "file"), 2, out) == 4
    assert out == b"2345"
    assert source.look(os.fsencode(tmp_path / "file"), 8, out) == 2
    assert source.look(os.fsencode(tmp_path / "gone"), 0, out) == 0
    assert source.look(os.fsencode(tmp_path), 0, out) == 0


def _never(path: bytes, why: str) -> None:
    raise AssertionError((path, why))
