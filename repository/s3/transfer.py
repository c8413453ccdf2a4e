"""Bytes on their way to and from S3: bodies without copies, pieces in parallel, checksums."""

import io
import re
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from typing_extensions import Buffer
from urllib3.exceptions import ReadTimeoutError

from config.answers import pace
from repository.errors import StoreUnreachable

SMALL: Final = 1 << 20
"""Bodies up to this size are sent in one go. Larger ones are sent in blocks, each with a time limit of its own, so that
a slow line is no error; and only after the server has said that it wants them."""
PART: Final = 8 << 20
"""Of a multipart upload: S3 wants at least 5 MiB, and one connection to it gives some 80 MB/s."""
WHOLE: Final = 2 * PART
"""Objects below this size are uploaded in one request."""
PIECE: Final = 4 << 20
"""Reads larger than twice this are split into pieces of it."""
_READ: Final = 256 << 10
_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19})")
T = TypeVar("T")


class Body(io.RawIOBase):
    """Buffers as one file, read without joining them first."""

    def __init__(self, views: Sequence[memoryview]) -> None:
        super().__init__()
        self._views = views
        self._size = sum(map(len, views))
        self._at = 0

    def __len__(self) -> int:
        return self._size

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes: a request is signed over its body, and then sent."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As files do it; within the body."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = min(max(base + offset, 0), self._size)
        return self._at

    def readinto(self, out: Buffer) -> int:
        """Fill `out` as far as one buffer goes."""
        target = memoryview(out).cast("B")
        start = 0
        for view in self._views:
            if self._at < start + len(view):
                piece = view[self._at - start :][: len(target)]
                target[: len(piece)] = piece
                self._at += len(piece)
                return len(piece)
            start += len(view)
        return 0


def flat(parts: Sequence[Buffer]) -> list[memoryview]:
    """The parts as bytes, without the empty ones."""
    return [view for view in (memoryview(part).cast("B") for part in parts) if view]


def cut(views: Iterable[memoryview], size: int) -> list[list[memoryview]]:
    """The joined views in pieces of `size` bytes, the last one shorter; nothing is copied."""
    pieces: list[list[memoryview]] = []
    room = 0
    for view in views:
        rest = view
        while rest:
            if not room:
                pieces.append([])
                room = size
            pieces[-1].append(rest[:room])
            room -= len(pieces[-1][-1])
            rest = rest[len(pieces[-1][-1]) :]
    return pieces


def crc32(views: Iterable[memoryview]) -> str:
    """Checksum of the joined views as S3 writes it. Against accidents: against people everything is sealed."""
    value = 0
    for view in views:
        value = zlib.crc32(view, value)
    return b64encode(value.to_bytes(4, "big")).decode()


def fill(body: Any, out: memoryview, patience_s: float) -> None:
    """Read exactly `out` from an answer's body; the connection is only used again when all of it arrived.

    Args:
        body: a botocore StreamingBody.
        patience_s: longest pause, to which the slowest rate that is borne (`config.answers`) adds.

    Raises:
        StoreUnreachable: the answer ended early, or dripped.
    """
    done = 0
    try:
        pace(body._raw_stream, patience_s, len(out))  # noqa: SLF001
        while done < len(out):
            # What one receive brings: botocore's own methods wait until all is there, however long that takes.
            data = body._raw_stream.read1(min(_READ, len(out) - done))  # noqa: SLF001
            if not data:
                raise StoreUnreachable("the answer broke off", remedy="check the network")
            out[done : done + len(data)] = data
            done += len(data)
    except ReadTimeoutError as error:
        body.close()
        raise StoreUnreachable("the answer came too slowly", remedy="check the network") from error
    except BaseException:
        body.close()
        raise


def whole_number(length: Any) -> int:
    """What an answer says of a length.

    Raises:
        ValueError: it says nothing, or that of nothing.
    """
    if not isinstance(length, int) or length < 0:
        raise ValueError("no length")
    return length


def content_range(answer: Mapping[str, Any]) -> tuple[int, int]:
    """Where the bytes of an answer begin, and how many the whole object has. Rule: RFC 9110, 14.4.

    Raises:
        LookupError, ValueError: the answer says neither this nor its length, or gives as many bytes as it says it does
            not.
    """
    length, text = whole_number(answer["ContentLength"]), str(answer.get("ContentRange", ""))
    if not text:
        return 0, length
    found = _CONTENT_RANGE.fullmatch(text)
    if found is None:
        raise ValueError("no range")
    begins, last, size = (int(each) for each in found.groups())
    if not begins <= last < size or last - begins + 1 != length:
        raise ValueError("no range")
    return begins, size


def in_parallel(calls: Sequence[Callable[[], T]], workers: int) -> list[T]:
    """Results of all calls, in order; the first error ends it, once the calls under way have ended.

    Threads are made for the occasion: a process that forks must have none.
    """
    if len(calls) == 1 or workers == 1:
        return [call() for call in calls]
    with ThreadPoolExecutor(min(workers, len(calls)), "s3") as pool:
        futures = [pool.submit(call) for call in calls]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
