"""Count what a store does: operations, bytes, seconds and errors of each kind; a decorator like those for retries."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

from typing_extensions import Buffer

from repository.errors import RepositoryError
from repository.store import PruneStore, ReadStore, Version, WriteStore

T = TypeVar("T")


class Measured(NamedTuple):
    """All operations of one kind so far. `seconds` add up over operations, also those side by side."""

    operations: int = 0
    bytes: int = 0
    seconds: float = 0.0
    errors: int = 0


class Meter:
    """What was measured; may be shared by stores and threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kinds: dict[str, Measured] = {}

    def read(self) -> dict[str, Measured]:
        """By kind of operation: get, put, size, list, delete, extend, sweep."""
        with self._lock:
            return dict(self._kinds)

    def add(self, kind: str, byte_count: int, seconds: float, *, failed: bool) -> None:
        """Count one operation."""
        with self._lock:
            old = self._kinds.get(kind, Measured())
            self._kinds[kind] = Measured(
                old.operations + 1, old.bytes + byte_count, old.seconds + seconds, old.errors + failed
            )

    @contextmanager
    def measuring(self, kind: str, byte_count: int = 0) -> Iterator[None]:
        """Count what is done inside as one operation of `byte_count` bytes, none if it fails."""
        begun = time.monotonic()
        try:
            yield
        except RepositoryError:
            self.add(kind, 0, time.monotonic() - begun, failed=True)
            raise
        self.add(kind, byte_count, time.monotonic() - begun, failed=False)


class MeasuredReader:
    """A ReadStore that is measured."""

    def __init__(self, inner: ReadStore, meter: Meter) -> None:
        self._reader = inner
        self._meter = meter

    def get(self, name: str, limit: int) -> bytes:
        """See ReadStore."""
        begun = time.monotonic()
        try:
            data = self._reader.get(name, limit)
        except RepositoryError:
            self._meter.add("get", 0, time.monotonic() - begun, failed=True)
            raise
        self._meter.add("get", len(data), time.monotonic() - begun, failed=False)
        return data

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        """See ReadStore."""
        with self._meter.measuring("get", length):
            return self._reader.get_range(name, offset, length)

    def read_into(self, name: str, offset: int, out: memoryview) -> None:
        """See ReadStore."""
        with self._meter.measuring("get", len(out)):
            self._reader.read_into(name, offset, out)

    def size(self, name: str) -> int:
        """See ReadStore."""
        with self._meter.measuring("size"):
            return self._reader.size(name)

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        """See ReadStore. The time is that until the first name."""
        with self._meter.measuring("list"):
            names = self._reader.list(prefix, after)
            first = next(names, None)
        return iter(()) if first is None else _joined(first, names)

    def sizes(self, prefix: str, after: str = "") -> Iterator[tuple[str, int]]:
        """See ReadStore. Measured as a listing."""
        with self._meter.measuring("list"):
            sizes = self._reader.sizes(prefix, after)
            first = next(sizes, None)
        return iter(()) if first is None else _joined(first, sizes)

    def versions(self, prefix: str) -> Sequence[Version]:
        """See ReadStore."""
        with self._meter.measuring("list"):
            return self._reader.versions(prefix)


class MeasuredWriter(MeasuredReader):
    """A WriteStore that is measured."""

    def __init__(self, inner: WriteStore, meter: Meter) -> None:
        super().__init__(inner, meter)
        self._writer = inner

    def put(self, name: str, parts: Sequence[Buffer]) -> None:
        """See WriteStore."""
        with self._meter.measuring("put", sum(memoryview(part).nbytes for part in parts)):
            self._writer.put(name, parts)


class MeasuredPruner(MeasuredWriter):
    """A PruneStore that is measured."""

    def __init__(self, inner: PruneStore, meter: Meter) -> None:
        super().__init__(inner, meter)
        self._pruner = inner

    def delete(self, name: str) -> None:
        """See PruneStore."""
        with self._meter.measuring("delete"):
            self._pruner.delete(name)

    def extend(self, name: str) -> bool:
        """See PruneStore."""
        with self._meter.measuring("extend"):
            return self._pruner.extend(name)

    def sweep(self, older_than_s: float) -> int:
        """See PruneStore."""
        with self._meter.measuring("sweep"):
            return self._pruner.sweep(older_than_s)


def _joined(first: T, rest: Iterator[T]) -> Iterator[T]:
    yield first
    yield from rest
