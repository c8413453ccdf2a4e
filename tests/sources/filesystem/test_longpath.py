"""Places deeper than one path can say."""

import os
from pathlib import Path

import pytest

from sources.filesystem.longpath import PATH_LIMIT, reachable

NAME = b"d" * 200


@pytest.fixture
def deep(tmp_path: Path) -> bytes:
    """A directory some 9000 bytes down, with a file in it."""
    fd, path = os.open(tmp_path, os.O_RDONLY), os.fsencode(tmp_path)
    for _ in range(45):
        os.mkdir(NAME, dir_fd=fd)
        inner = os.open(NAME, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd, path = inner, path + b"/" + NAME
    os.close(os.open(b"file", os.O_WRONLY | os.O_CREAT, dir_fd=fd))
    os.close(fd)
    return path


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_path_that_the_kernel_takes_is_left_as_it_is() -> None:
    for path in (b"/etc", b"relative", b"/" + b"x" * (PATH_LIMIT - 1)):
        with reachable(path) as near:
            assert near == path


def test_the_same_place_by_a_short_path_and_no_descriptor_stays(deep: bytes) -> None:
    before = descriptors()
    with pytest.raises(OSError, match="too long"):
        os.lstat(deep)
    with reachable(deep) as near:
        assert len(near) <= PATH_LIMIT + 30
        assert os.listdir(near) == [b"file"]
    with reachable(deep + b"/file") as near:
        assert os.lstat(near).st_size == 0
    assert descriptors() == before


def test_what_is_missing_on_the_way_is_told_and_no_descriptor_stays(deep: bytes) -> None:
    before = descriptors()
    for broken in (deep.replace(NAME, b"e" * 200, 1), deep[:-1] + b"/x" * 3000):
        with pytest.raises(FileNotFoundError), reachable(broken):
            pytest.fail("it was reached")
    with pytest.raises(NotADirectoryError), reachable(deep + b"/file" + b"/y" * 3000):
        pytest.fail("it was reached")
    assert descriptors() == before


def test_an_error_in_the_block_leaves_no_descriptor(deep: bytes) -> None:
    before = descriptors()
    with pytest.raises(ZeroDivisionError), reachable(deep):
        raise ZeroDivisionError
    assert descriptors() == before
