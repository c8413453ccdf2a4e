"""Metadata on what was restored: in an order in which nothing undoes another, and what cannot be is told."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from sources.filesystem.apply import MetadataApplier
from sources.filesystem.metadata import Meta

Make = Callable[..., Meta]
NOBODY = 65534


@pytest.fixture
def applier(tmp_path: Path) -> Iterator[MetadataApplier]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield MetadataApplier(fd)
    os.close(fd)


def applied(applier: MetadataApplier, path: Path, meta: Meta) -> list[str]:
    fd = os.open(path, os.O_RDONLY)
    try:
        return [why for _, why in applier.to_open(fd, b"/x", meta)]
    finally:
        os.close(fd)


def test_mode_and_time_are_set_and_set_id_bits_survive_the_chown(
    applier: MetadataApplier, tmp_path: Path, meta: Make
) -> None:
    (tmp_path / "f").write_bytes(b"x")
    wanted = meta("f", mode=0o104711, uid=os.geteuid(), gid=os.getegid(), mtime_ns=1_234_567_890_123_456_789)
    assert applied(applier, tmp_path / "f", wanted) == []
    found = (tmp_path / "f").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_mtime_ns) == (0o4711, 1_234_567_890_123_456_789)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_an_owner_goes_by_name_and_by_number_where_there_is_no_such_name(
    applier: MetadataApplier, tmp_path: Path, meta: Make
) -> None:
    for name, uname, expected in (
        ("named", "root", 0),
        ("unknown", "no-such-user", 12345),
        ("none", "", 12345),
    ):
        (tmp_path / name).touch()
        wanted = meta("f", uid=12345, gid=12345, uname=uname, gname="")
        assert applied(applier, tmp_path / name, wanted) == []
        assert (tmp_path / name).stat().st_uid == expected


def test_what_only_root_may_do_is_said_once_and_takes_the_set_id_bits(
    open_dir: Path, as_nobody: Callable[[], None], meta: Make
) -> None:
    os.chown(open_dir, NOBODY, NOBODY)
    as_nobody()
    fd = os.open(open_dir, os.O_RDONLY | os.O_DIRECTORY)
    applier = MetadataApplier(fd)
    os.close(fd)
    said = []
    for name in ("one", "two"):
        (open_dir / name).touch()
        said += applied(applier, open_dir / name, meta("f", mode=0o106755, uid=1, gid=1, uname="", gname=""))
        assert stat.S_IMODE((open_dir / name).stat().st_mode) == 0o755
    assert len(said) == 1
    assert "only root" in said[0]


def test_attributes_that_a_file_system_does_not_take_are_told_and_the_rest_is_applied(
    applier: MetadataApplier, tmp_path: Path, meta: Make
) -> None:
    (tmp_path / "f").touch()
    wanted = msgspec.structs.replace(
        meta("f", mode=0o100600, uid=os.geteuid(), gid=os.getegid(), mtime_ns=5 * 10**9),
        xattrs=[(b"nonsense.a\xff", b"1"), (b"user.b", b"2")],
    )
    (why,) = applied(applier, tmp_path / "f", wanted)
    assert "extended attribute 'nonsense.a\\udcff'" in why
    assert os.getxattr(tmp_path / "f", b"user.b") == b"2"
    assert (tmp_path / "f").stat().st_mtime == 5


def test_a_time_that_no_system_holds_is_told(applier: MetadataApplier, tmp_path: Path, meta: Make) -> None:
    (tmp_path / "f").touch()
    wanted = meta("f", uid=os.geteuid(), gid=os.getegid(), mtime_ns=2**100)
    assert applied(applier, tmp_path / "f", wanted) == ["its time cannot be restored"]


def test_a_link_gets_its_own_time_and_not_what_it_points_to(
    applier: MetadataApplier, tmp_path: Path, meta: Make
) -> None:
    (tmp_path / "f").touch()
    before = (tmp_path / "f").stat()
    (tmp_path / "link").symlink_to("f")
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    wanted = meta("l", mode=0o120000, uid=os.geteuid(), gid=os.getegid(), mtime_ns=7 * 10**9)
    assert applier.to_node(fd, b"link", b"/link", wanted) == []
    with pytest.raises(FileNotFoundError):
        applier.to_node(fd, b"gone", b"/gone", wanted)
    os.close(fd)
    assert (tmp_path / "link").lstat().st_mtime == 7
    after = (tmp_path / "f").stat()
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
