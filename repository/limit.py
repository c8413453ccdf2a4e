"""Take no more of a store than one's share: a decorator that bounds operations at once and bytes per second."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache

from typing_extensions import Buffer

from config.settings import StoreSettings
from repository.store import PruneStore, ReadStore, Version, WriteStore


@dataclass
class Limits:
    """Shared by all stores that share a line.

    Attributes:
        operations: how many may be under way at once.
        bytes_per_s: read and written together; 0: no bound. It holds on average: a large object goes at full speed,
            and what comes after it waits.
        clock, sleep: can be replaced.
    """

    operations: int = 64
    bytes_per_s: float = 0.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _free: threading.Semaphore = field(init=False, repr=False)
    _from: float = field(default=0.0, init=False, repr=False)

    def __post_init__(self) -> None:
        self._free = threading.BoundedSemaphore(self.operations)

    @contextmanager
    def operating(self) -> Iterator[None]:
        """Wait until an operation may begin, and hold its place until it ends."""
        with self._free:
            with self._lock:
                wait = self._from - self.clock()
            if wait > 0:
                self.sleep(wait)
            yield

    def charge(self, byte_count: int) -> None:
        """Count bytes that were moved: whoever operates next waits for as long as they should have taken."""
        if self.bytes_per_s:
            with self._lock:
                self._from = max(self.clock(), self._from) + byte_count / self.bytes_per_s


@lru_cache(maxsize=4)
def limits_of(settings: StoreSettings, process: int) -> Limits:
    """One line for all that a process moves to and from stores and buckets."""
    return Limits(bytes_per_s=settings.max_mib_per_s * (1 << 20))


class LimitedReader:
    """A ReadStore within limits."""

    def __init__(self, inner: ReadStore, limits: Limits) -> None:
        self._reader = inner
        self._limits = limits

    def get(self, name: str, limit: int) -> bytes:
        """See ReadStore."""
        with self._limits.operating():
            data = self._reader.get(name, limit)
        self._limits.charge(len(data))
        return data

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        """See ReadStore."""
        with self._limits.operating():
            data = self._reader.get_range(name, offset, length)
        self._limits.charge(length)
        return data

    def read_into(self, name: str, offset: int, out: memoryview) -> None:
        """See ReadStore."""
        with self._limits.operating():
            self._reader.read_into(name, offset, out)
        self._limits.charge(len(out))

    def size(self, name: str) -> int:
        """See ReadStore."""
        with self._limits.operating():
            return self._reader.size(name)

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        """See ReadStore. Not counted: a listing may stay open for long."""
        return self._reader.list(prefix, after)

    def sizes(self, prefix: str, after: str = "") -> Iterator[tuple[str, int]]:
        """See ReadStore. Not counted, as a listing."""
        return self._reader.sizes(prefix, after)

    def versions(self, prefix: str) -> Sequence[Version]:
        """See ReadStore."""
        with self._limits.operating():
            return self._reader.versions(prefix)


class LimitedWriter(LimitedReader):
    """A WriteStore within limits."""

    def __init__(self, inner: WriteStore, limits: Limits) -> None:
        super().__init__(inner, limits)
        self._writer = inner

    def put(self, name: str, parts: Sequence[Buffer]) -> None:
        """See WriteStore."""
        with self._limits.operating():
            self._writer.put(name, parts)
        self._limits.charge(sum(memoryview(part).nbytes for part in parts))


class LimitedPruner(LimitedWriter):
    """A PruneStore within limits."""

    def __init__(self, inner: PruneStore, limits: Limits) -> None:
        super().__init__(inner, limits)
        self._pruner = inner

    def delete(self, name: str) -> None:
        """See PruneStore."""
        with self._limits.operating():
            self._pruner.delete(name)

    def extend(self, name: str) -> bool:
        """See PruneStore."""
        with self._limits.operating():
            return self._pruner.extend(name)

    def sweep(self, older_than_s: float) -> int:
        """See PruneStore."""
        with self._limits.operating():
            return self._pruner.sweep(older_than_s)
