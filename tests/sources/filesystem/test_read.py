"""Reading real files, quiet and changing."""

import itertools
import os
import random
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sources.filesystem.metadata import decode
from sources.filesystem.read import describe, read
from sources.filesystem.stamps import UNSETTLED
from sources.source import Found, Replaced, Skipped, SourceError, Unreadable, Vanished

Sink = Any
BLOCK = 4096


def sparse_file(path: Path, size: int, pieces: dict[int, bytes]) -> bytes:
    with path.open("wb") as file:
        for offset, data in pieces.items():
            file.seek(offset)
            file.write(data)
        file.truncate(size)
    return os.fsencode(path)


class HookedSink:
    """Lets a test change the file between two reads of it."""

    def __init__(self, piece: int, hook: Callable[[], object]) -> None:
        self.content = bytearray()
        self._buffer = bytearray(piece)
        self._hook: Callable[[], object] | None = hook

    def space(self) -> memoryview:
        return memoryview(self._buffer)

    def filled(self, count: int) -> None:
        self.content += self._buffer[:count]
        if self._hook is not None:
            self._hook()
            self._hook = None


@pytest.mark.parametrize("size", [0, 1, 2, 3, 1024, 10_007, 524_288, 2_000_003])
def test_a_dense_file(tmp_path: Path, sink: Sink, size: int) -> None:
    data = random.Random(size).randbytes(size)
    (tmp_path / "f").write_bytes(data)
    item = read(os.fsencode(tmp_path / "f"), sink)
    assert sink.content == data
    assert (item.size, item.ranges, item.changed, item.warnings) == (size, (), "", ())


def test_parts_join_to_the_whole(tmp_path: Path, sink: Sink) -> None:
    data = random.Random(1).randbytes(100_000)
    (tmp_path / "f").write_bytes(data)
    for offset, length in ((0, 40_000), (40_000, 59_999), (99_999, 1)):
        item = read(os.fsencode(tmp_path / "f"), sink, offset, length)
        assert (item.size, item.ranges, item.changed) == (100_000, (), "")
    assert sink.content == data


def test_the_stamp_equals_that_of_a_walk_once_settled(
    tmp_path: Path, sink: Sink, walked: Callable[..., list[Found]], settled: Callable[[], None]
) -> None:
    (tmp_path / "f").write_bytes(b"x")
    assert read(os.fsencode(tmp_path / "f"), sink).stamp == UNSETTLED
    settled()
    found = {f.path: f.stamp for f in walked(tmp_path)}
    assert read(os.fsencode(tmp_path / "f"), sink).stamp == found[os.fsencode(tmp_path / "f")]
    assert describe(os.fsencode(tmp_path)).stamp == found[os.fsencode(tmp_path)]


def test_reading_leaves_the_access_time(tmp_path: Path, sink: Sink) -> None:
    (tmp_path / "f").write_bytes(b"x")
    os.utime(tmp_path / "f", ns=(5, 7))
    read(os.fsencode(tmp_path / "f"), sink)
    assert (tmp_path / "f").stat().st_atime_ns == 5


@pytest.mark.parametrize(
    ("size", "pieces", "expected"),
    [
        (10 * BLOCK, {}, ((0, 0),)),  # all hole
        (10 * BLOCK, {2 * BLOCK: b"x" * BLOCK}, ((2 * BLOCK, BLOCK),)),
        (10 * BLOCK, {0: b"x" * BLOCK, 9 * BLOCK: b"y" * BLOCK}, ((0, BLOCK), (9 * BLOCK, BLOCK))),
        (10 * BLOCK + 5, {10 * BLOCK: b"tail!"}, ((10 * BLOCK, 5),)),
        (2 * BLOCK, {0: bytes(2 * BLOCK)}, ()),  # real zeros are data
    ],
)
def test_holes_are_not_delivered(
    tmp_path: Path, sink: Sink, size: int, pieces: dict[int, bytes], expected: tuple[tuple[int, int], ...]
) -> None:
    item = read(sparse_file(tmp_path / "f", size, pieces), sink)
    assert (item.size, item.ranges, item.changed) == (size, expected, "")
    assert sink.content == b"".join(pieces.values())


def test_a_part_of_a_sparse_file(tmp_path: Path, sink: Sink) -> None:
    path = sparse_file(tmp_path / "f", 20 * BLOCK, {BLOCK: b"a" * BLOCK, 10 * BLOCK: b"b" * 2 * BLOCK})
    assert read(path, sink, 0, 11 * BLOCK).ranges == ((BLOCK, BLOCK), (10 * BLOCK, BLOCK))
    assert read(path, sink, 11 * BLOCK, 9 * BLOCK).ranges == ((11 * BLOCK, BLOCK),)
    assert read(path, sink, 12 * BLOCK, 4 * BLOCK).ranges == ((12 * BLOCK, 0),)
    assert sink.content == b"a" * BLOCK + b"b" * 2 * BLOCK


def test_a_growing_file_ends_and_is_told(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"a" * 3000)
    sink = HookedSink(1000, lambda: os.truncate(file, 3004))
    item = read(os.fsencode(file), sink)
    assert sink.content == b"a" * 3000
    assert (item.size, item.changed) == (3000, "grew while it was read")


@pytest.mark.parametrize(("left", "ranges"), [(2500, ()), (0, ())])
def test_a_shrinking_file_is_told_and_never_padded(tmp_path: Path, left: int, ranges: tuple[()]) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"a" * 5000)
    sink = HookedSink(1000, lambda: os.truncate(file, left))
    item = read(os.fsencode(file), sink)
    assert item.changed == "shrank while it was read"
    assert item.size == len(sink.content) == max(1000, left)
    assert item.ranges == ranges


def test_a_part_that_is_no_longer_there(tmp_path: Path, sink: Sink) -> None:
    (tmp_path / "f").write_bytes(b"a" * 5000)
    item = read(os.fsencode(tmp_path / "f"), sink, 4000, 4000)
    assert (item.size, item.ranges, item.changed) == (5000, ((4000, 1000),), "shrank before it was read")
    item = read(os.fsencode(tmp_path / "f"), sink, 8000, 4000)
    assert (item.ranges, item.changed) == (((8000, 0),), "shrank before it was read")


def test_an_edit_in_place_is_told_even_with_its_times_put_back(
    tmp_path: Path, settled: Callable[[], None]
) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"a" * 3000)
    before = file.stat()
    settled()

    def edit() -> None:
        file.write_bytes(b"b" * 3000)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    item = read(os.fsencode(file), HookedSink(1000, edit))
    assert item.changed == "was modified while it was read"


def test_vanished(tmp_path: Path, sink: Sink) -> None:
    for go in (lambda p: read(p, sink), describe):
        with pytest.raises(Vanished):
            go(os.fsencode(tmp_path / "gone"))


@pytest.mark.parametrize("other", ["link", "dir", "fifo", "device", "socket"])
def test_a_file_swapped_for_something_else_is_not_followed(tmp_path: Path, sink: Sink, other: str) -> None:
    path = tmp_path / "f"
    (tmp_path / "secret").write_bytes(b"secret")
    server = socket.socket(socket.AF_UNIX)
    match other:
        case "link":
            path.symlink_to("secret")
        case "dir":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)  # nobody writes: an ordinary open would wait for ever
        case "device":
            os.mknod(path, 0o20600, os.makedev(1, 5))  # /dev/zero: reading would not end
        case _:
            server.bind(str(path))
    with server, pytest.raises(Replaced):
        read(os.fsencode(path), sink)
    assert sink.content == b""


def test_a_directory_swapped_for_a_link(tmp_path: Path) -> None:
    (tmp_path / "d").symlink_to("/etc")
    with pytest.raises(Replaced):
        describe(os.fsencode(tmp_path / "d"), "d")


def test_a_socket_is_skipped(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        with pytest.raises(Skipped):
            describe(os.fsencode(tmp_path / "s"))


def test_unreadable_and_another_owner(open_dir: Path, sink: Sink, as_nobody: Callable[[], None]) -> None:
    (open_dir / "closed").write_bytes(b"x")
    (open_dir / "closed").chmod(0o600)
    (open_dir / "open").write_bytes(b"x")
    (open_dir / "open").chmod(0o644)
    as_nobody()
    with pytest.raises(Unreadable, match="permission denied") as caught:
        read(os.fsencode(open_dir / "closed"), sink)
    assert caught.value.path == os.fsencode(open_dir / "closed")
    assert (
        read(os.fsencode(open_dir / "open"), sink).size == 1
    )  # O_NOATIME is refused to others, reading is not


def test_a_file_that_claims_to_be_empty(sink: Sink) -> None:
    item = read(b"/proc/self/status", sink)
    assert sink.content.startswith(b"Name:")
    assert item.size == len(sink.content)


def test_far_away(tmp_path: Path, sink: Sink, walked: Callable[..., list[Found]]) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("n" * 250, dir_fd=fd)
        fd, above = os.open("n" * 250, os.O_RDONLY, dir_fd=fd), fd
        os.close(above)
    file = os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
    os.write(file, b"far")
    os.symlink("t" * 300, "link", dir_fd=fd)
    os.close(file)
    os.close(fd)
    *_, found_file, found_link = walked(tmp_path)
    assert len(found_file.path) > 5000
    assert read(found_file.path, sink).size == 3
    assert sink.content == b"far"
    assert decode(describe(found_link.path, "l").meta).target == b"t" * 300


@pytest.mark.parametrize("seed", range(3))
def test_racing_swaps_end_in_content_or_an_error_of_ours(tmp_path: Path, seed: int) -> None:
    """File, link, directory and nothing take turns under one name; no reader may hang, follow or crash."""
    path = os.fsencode(tmp_path / "f")
    (tmp_path / "secret").write_bytes(b"secret" * 1000)
    child = os.fork()
    if child == 0:
        turn = random.Random(seed)
        while True:
            what = turn.randrange(4)
            if what == 0:
                os.symlink("secret", path)
            elif what == 1:
                os.mkdir(path)
                os.rmdir(path)
                continue
            elif what == 2:
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
            else:
                os.mkfifo(path)
            os.unlink(path)
    outcomes: set[str] = set()
    try:
        # On a loaded machine it takes long until a swap hits: go on until two outcomes were seen.
        for turn_number in itertools.count():
            if turn_number >= 3000 and len(outcomes) >= 2:
                break
            sink = HookedSink(1000, lambda: None)
            try:
                read(path, sink)
                outcomes.add("read")
            except SourceError as error:
                outcomes.add(type(error).__name__)
            assert sink.content == b""
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert outcomes <= {"read", "Replaced", "Vanished"}
    assert len(outcomes) >= 2
