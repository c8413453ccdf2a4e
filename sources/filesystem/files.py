"""The file system as a source: walking and reading behind the interface that every source has."""

from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Self

from sources.filesystem.guard import NOTHING, Guard
from sources.filesystem.read import describe, look, read
from sources.filesystem.walk import walk
from sources.patterns import Patterns
from sources.source import Found, Kind, ReadItem, Report, Sink, Wanted


class FileReader:
    """A Reader of this machine's files. The kernel reads ahead, so that nothing is to be done for it here.

    Args:
        guard: what it must not read.
    """

    def __init__(self, guard: Guard = NOTHING) -> None:
        self._guard = guard

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def expect(self, wanted: Iterable[Wanted]) -> None:
        """See Reader."""

    def describe(self, path: bytes, kind: Kind) -> ReadItem:
        """See Reader."""
        return describe(path, kind)

    def read(self, wanted: Wanted, sink: Sink) -> ReadItem:
        """See Reader."""
        return read(wanted.path, sink, wanted.offset, wanted.length, wanted.stamp, self._guard)


class FileSource:
    """A Source: what lies at and below some absolute paths of this machine.

    Args:
        roots: the paths.
        guard: what must not be read although it lies there.
    """

    def __init__(self, roots: Sequence[bytes], guard: Guard = NOTHING) -> None:
        self._roots = tuple(roots)
        self._guard = guard

    @property
    def roots(self) -> Sequence[bytes]:
        """See Source."""
        return self._roots

    @property
    def host(self) -> str:
        """See Source."""
        return ""

    def walk(self, excludes: Patterns, on_error: Report, on_skip: Report) -> Iterator[Found]:
        """See Source; follows no symbolic link."""
        return walk(self._roots, excludes, on_error, on_skip, self._guard)

    def look(self, path: bytes, offset: int, out: memoryview) -> int:
        """See Source."""
        return look(path, offset, out)

    def reader(self) -> FileReader:
        """See Source."""
        return FileReader(self._guard)
