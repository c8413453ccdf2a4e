"""Reading objects: in pieces, some of them ahead, so that nobody waits for one answer after another.

The pieces of all objects that a task will read are one queue. Threads take from it as far as memory goes; the task
takes the results in the same order. The first piece of an object brings its metadata and its ETag, and no later piece
is taken of anything else.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from types import TracebackType
from typing import Final, NamedTuple, Self

from sources.s3.bucket import Bucket, Head
from sources.source import Kind, ReadItem, Replaced, Sink, Unreadable, Wanted

PIECE: Final = 4 << 20
AHEAD: Final = 32 << 20
"""Bytes that are asked for ahead."""
PIECES_AHEAD: Final = 256
"""Pieces that are asked for ahead, however small they are."""

_Answer = tuple[Head | None, memoryview]


class _Piece(NamedTuple):
    wanted: Wanted
    length: int
    answer: "Future[_Answer]"


class ObjectReader:
    """A Reader of one bucket's objects."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._pool: ThreadPoolExecutor | None = None
        self._plan: Iterator[tuple[Wanted, int, int]] = iter(())
        self._pieces: deque[_Piece] = deque()
        self._first: Future[_Answer] | None = None  # of the object whose pieces are being asked for
        self._ahead = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def expect(self, wanted: Iterable[Wanted]) -> None:
        """See Reader."""
        self._plan = chain(self._plan, ((each, *piece) for each in wanted for piece in _cut(each)))
        self._ask()

    def describe(self, path: bytes, kind: Kind) -> ReadItem:
        """See Reader.

        Raises:
            Unreadable: always: a bucket has nothing but content.
        """
        raise Unreadable(path, "is no object")

    def read(self, wanted: Wanted, sink: Sink) -> ReadItem:
        """See Reader. What has replaced an object since it was listed is read in its place.

        Raises:
            Replaced: it became another while it was read, or while parts of it were backed up.
            SourceError, StoreError: see `Bucket.read`.
        """
        if not self._turn_to(wanted):
            self.expect([wanted])
        head, data = self._next()
        assert head is not None  # the first piece of an object brings it
        done = _deliver(data, sink)
        if head.stamp == wanted.stamp:
            while self._pieces and self._pieces[0].wanted == wanted:
                length = self._pieces[0].length
                done += _deliver(_whole(wanted, self._next()[1], length), sink)
        elif wanted.length is None:
            while done < head.size:
                length = min(PIECE, head.size - done)
                data = self._bucket.read(self._bucket.key_of(wanted.path), done, length, head.etag)[1]
                done += _deliver(_whole(wanted, data, length), sink)
        else:
            raise Replaced(wanted.path, "was replaced by another while parts of it were backed up")
        return ReadItem(head.stamp, head.size, head.meta, (), "", head.warnings)

    def _turn_to(self, wanted: Wanted) -> bool:
        """Drop what is left of other objects; whether this one was asked for."""
        while self._pieces:
            if self._pieces[0].wanted == wanted:
                return True
            dropped = self._pieces.popleft()
            dropped.answer.cancel()
            self._ahead -= dropped.length
            self._ask()
        return False

    def _next(self) -> _Answer:
        piece = self._pieces.popleft()
        try:
            return piece.answer.result()
        finally:
            self._ahead -= piece.length
            self._ask()

    def _ask(self) -> None:
        while self._ahead < AHEAD and len(self._pieces) < PIECES_AHEAD:
            job = next(self._plan, None)
            if job is None:
                return
            wanted, offset, length = job
            key = self._bucket.key_of(wanted.path)
            if self._pool is None:  # threads are made for the occasion: who forks must have none
                self._pool = ThreadPoolExecutor(self._bucket.settings.parallel, "objects")
            if offset == wanted.offset:
                answer = self._first = self._pool.submit(self._bucket.read, key, offset, length)
            else:
                assert self._first is not None  # pieces come in order
                answer = self._pool.submit(self._read_more, self._first, wanted, offset, length)
            self._pieces.append(_Piece(wanted, length, answer))
            self._ahead += length

    def _read_more(self, first: "Future[_Answer]", wanted: Wanted, offset: int, length: int) -> _Answer:
        head, _ = first.result()  # asked for earlier, so under way already
        if head is None or head.stamp != wanted.stamp:
            return None, memoryview(b"")
        return self._bucket.read(self._bucket.key_of(wanted.path), offset, length, head.etag)


def _cut(wanted: Wanted) -> Iterator[tuple[int, int]]:
    """Offsets and lengths; an empty object is one empty piece."""
    end = wanted.offset + (wanted.size if wanted.length is None else wanted.length)
    if end == wanted.offset:
        yield wanted.offset, 0
    for offset in range(wanted.offset, end, PIECE):
        yield offset, min(PIECE, end - offset)


def _whole(wanted: Wanted, data: memoryview, length: int) -> memoryview:
    """A later piece, which has as many bytes as the first said that there are."""
    if len(data) != length:
        raise Replaced(wanted.path, "was replaced by another while it was read")
    return data


def _deliver(data: memoryview, sink: Sink) -> int:
    rest = data
    while rest:
        space = sink.space()[: len(rest)]
        space[:] = rest[: len(space)]
        sink.filled(len(space))
        rest = rest[len(space) :]
    return len(data)
