"""Real trees, a real sink, and a whole backup and restore of a tree through the source and the writer alone."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sources.filesystem.metadata import Meta, decode, meta_of, read_xattrs
from sources.filesystem.read import describe, read
from sources.filesystem.target import prepare_target
from sources.filesystem.walk import walk
from sources.filesystem.write import TreeWriter
from sources.patterns import Patterns
from sources.source import Found, Note


class MemorySink:
    """A sink that keeps everything, and hands out space in odd pieces."""

    def __init__(self, piece: int = 10_007) -> None:
        self.content = bytearray()
        self._buffer = bytearray(piece)

    def space(self) -> memoryview:
        return memoryview(self._buffer)

    def filled(self, count: int) -> None:
        self.content += self._buffer[:count]


@pytest.fixture
def sink() -> MemorySink:
    return MemorySink()


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A directory that any user may enter, unlike tmp_path."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def as_nobody() -> Iterator[Callable[[], None]]:
    """A call that takes the rights of root from this test; given back at its end."""

    def drop() -> None:
        os.setegid(65534)
        os.seteuid(65534)

    yield drop
    os.seteuid(0)
    os.setegid(0)


@pytest.fixture
def settled() -> Callable[[], None]:
    """Waits until what was just written has a time of its own."""
    return lambda: time.sleep(0.03)


@pytest.fixture
def meta() -> Callable[..., Meta]:
    """Metadata as a stranger would write it: everything can be set."""

    def make(kind: str = "f", **fields: object) -> Meta:
        values: dict[str, object] = {
            "mode": 0o755 if kind == "d" else 0o644,
            "uid": os.geteuid(),
            "gid": os.getegid(),
            "uname": "",
            "gname": "",
            "mtime_ns": 1_000_000_000_123_456_789,
            "dev": 1,
            "ino": 1,
            "nlink": 1,
            "rdev": 0,
            "target": b"",
            "xattrs": [],
        }
        return Meta(kind=kind, **(values | fields))  # type: ignore[arg-type]

    return make


@pytest.fixture
def walked() -> Callable[..., list[Found]]:
    """Walks and fails on any error or skip that the test does not ask to collect."""

    def go(
        *roots: Path | bytes, excludes: tuple[str, ...] = (), told: list[Note] | None = None
    ) -> list[Found]:
        notes: list[Note] = []

        def tell(path: bytes, why: str) -> None:
            notes.append((path, why))

        found = list(walk([os.fsencode(r) for r in roots], Patterns.parse(excludes), tell, tell))
        if told is None:
            assert notes == []
        else:
            told += notes
        return found

    return go


def _write_content(
    writer: TreeWriter, path: bytes, encoded: Meta, ranges: tuple[tuple[int, int], ...], size: int
) -> list[Note]:
    sink = MemorySink(1 << 20)
    read(path, sink)
    if not ranges:
        return writer.write_file(path, encoded, [bytes(sink.content)])
    fd = writer.open_file(path, size)
    at = 0
    for offset, length in ranges:
        os.pwrite(fd, sink.content[at : at + length], offset)
        at += length
    return writer.finish_file(fd, path, encoded)


@pytest.fixture
def round_trip() -> Callable[[Path, Path], list[Note]]:
    """Backs `source` up and restores it as `target`, everything below and `source` itself; returns all notes."""

    def go(source: Path, target: Path) -> list[Note]:
        notes: list[Note] = []
        first_names: dict[tuple[int, int], bytes] = {}
        dirs: list[tuple[bytes, Meta]] = []
        prepare_target(target)
        with TreeWriter(target, os.fsencode(source)) as writer:
            walker = walk(
                [os.fsencode(source)], Patterns(), lambda *n: notes.append(n), lambda *n: notes.append(n)
            )
            for path, kind, size, _ in walker:
                item = read(path, MemorySink(1 << 20)) if kind == "f" else describe(path, kind)
                stored = decode(item.meta, path)
                notes += [(path, text) for text in item.warnings]
                if kind == "d":
                    writer.make_dir(path, stored)
                    dirs.append((path, stored))
                elif stored.nlink > 1 and (stored.dev, stored.ino) in first_names:
                    writer.link(first_names[stored.dev, stored.ino], path)
                else:
                    first_names[stored.dev, stored.ino] = path
                    if kind == "f":
                        notes += _write_content(writer, path, stored, item.ranges, size)
                    else:
                        notes += writer.make_node(path, stored)
            notes += writer.finish_dirs(dirs)
        return notes

    return go


def refuse(path: bytes, why: str) -> None:
    pytest.fail(f"{path!r}: {why}")


@pytest.fixture
def picture() -> Callable[[Path], dict[bytes, tuple[object, ...]]]:
    """Everything about a tree that a restore must give back, by relative path; hard links by their group."""

    def take(top: Path) -> dict[bytes, tuple[object, ...]]:
        seen: dict[bytes, tuple[object, ...]] = {}
        groups: dict[int, bytes] = {}
        start = os.fsencode(top)
        for path, kind, size, _ in walk([start], Patterns(), refuse, refuse):
            st = os.lstat(path)
            name = path[len(start) :]
            xattrs, warnings = read_xattrs(path)
            assert warnings == ()
            content = Path(os.fsdecode(path)).read_bytes() if kind == "f" else b""
            target = os.readlink(path) if kind == "l" else b""
            seen[name] = (
                kind, oct(st.st_mode), st.st_uid, st.st_gid, st.st_mtime_ns, size, meta_of(kind, st, b"", []).rdev,
                target, content, xattrs, "" if kind == "d" else (st.st_nlink, groups.setdefault(st.st_ino, name)),
            )  # fmt: skip
        return seen

    return take
