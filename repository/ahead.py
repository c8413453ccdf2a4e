"""Small objects that are asked for one after the other, in an order known before: fetched ahead, several at a time.

A store far away answers after some hundredths of a second, and a large job needs tens of thousands of them.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from repository.store import ReadStore, Version

WIDTH = 8
"""Objects under way or waiting to be taken: so many are in memory at once."""


@contextmanager
def read_ahead(store: ReadStore, names: Sequence[str], limit: int, width: int = WIDTH) -> Iterator[ReadStore]:
    """The same store, while the block runs, with `get` of `names` in their order answered from what was fetched ahead.

    In about their order: any of the next `width` may be asked for first.

    Threads are made for the occasion: a process that forks must have none.

    Args:
        names: may turn out not to be there; whoever asks for that one is told.
        limit: as of `ReadStore.get`, for all of them.
    """
    if len(names) <= width:
        yield store
        return
    with ThreadPoolExecutor(width, "read-ahead") as pool:
        try:
            yield _Ahead(store, names, limit, width, pool)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


class _Ahead:
    """A ReadStore in front of another."""

    def __init__(
        self, inner: ReadStore, names: Sequence[str], limit: int, width: int, pool: ThreadPoolExecutor
    ) -> None:
        self._inner = inner
        self._names = iter(names)
        self._limit = limit
        self._pool = pool
        self._coming: deque[tuple[str, Future[bytes]]] = deque()
        for _ in range(width):
            self._fetch_another()

    def get(self, name: str, limit: int) -> bytes:
        """See ReadStore."""
        coming = next((each for each in self._coming if each[0] == name), None)
        if coming is None or limit != self._limit:
            return self._inner.get(name, limit)
        self._coming.remove(coming)
        self._fetch_another()
        return coming[1].result()

    def _fetch_another(self) -> None:
        name = next(self._names, None)
        if name is not None:
            self._coming.append((name, self._pool.submit(self._inner.get, name, self._limit)))

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        """See ReadStore."""
        return self._inner.get_range(name, offset, length)

    def read_into(self, name: str, offset: int, out: memoryview) -> None:
        """See ReadStore."""
        self._inner.read_into(name, offset, out)

    def size(self, name: str) -> int:
        """See ReadStore."""
        return self._inner.size(name)

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        """See ReadStore."""
        return self._inner.list(prefix, after)

    def sizes(self, prefix: str, after: str = "") -> Iterator[tuple[str, int]]:
        """See ReadStore."""
        return self._inner.sizes(prefix, after)

    def versions(self, prefix: str) -> Sequence[Version]:
        """See ReadStore."""
        return self._inner.versions(prefix)
