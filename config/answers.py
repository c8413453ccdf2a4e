"""Bounds of what a server of HTTP may answer: in time and in bytes, whatever it sends and however slowly.

A time limit of each receive alone lets a server drip for ever, and a parser reads an answer without end into memory. So
every byte is counted where it leaves the socket, below HTTP: a status line, a header, the length of a chunk and a
body all draw on one allowance. Nothing here knows AWS; what is bounded is the HTTP session below a botocore client.
"""

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from typing_extensions import Buffer

SLOWEST: Final = 64 << 10
"""Bytes per second below which an answer is given up, however steadily it drips."""
SPARE: Final = 64 << 10
"""Bytes beside a body whose length is known: headers that came with it, and the lengths of chunks."""

MALFORMED: Final = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What parsers, and readers of what they parsed, raise for an answer of another shape than they expect."""


class AnswerTooSlow(TimeoutError):
    """An answer, or a part of it, is not there in time."""


class AnswerTooLarge(OSError):
    """An answer has more bytes than any of its kind."""


class AnswerBroken(OSError):
    """An answer ended where it may not."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an answer may take.

    Attributes:
        byte_count: of all of it.
        more_s: how many seconds an answer to a request (method, target) may take beyond the read timeout.
    """

    byte_count: int
    more_s: Callable[[str, str], float] = lambda method, target: 0.0


@dataclass(slots=True)
class Allowance:
    """What is left for the answer on one connection: until when (monotonic seconds), and how many bytes.

    Each byte that comes puts the end off by as long as it may take at the slowest.
    """

    patience_s: float = 0.0
    end: float = 0.0
    left: int = 0

    def renew(self, patience_s: float, byte_count: int, *, more_s: float = 0.0) -> None:
        """Begin anew: `patience_s` is the longest pause too, `more_s` comes on top of the whole."""
        self.patience_s = patience_s
        self.end = time.monotonic() + patience_s + more_s
        self.left = byte_count

    def next_s(self) -> float:
        """How long to wait for the next bytes.

        Raises:
            AnswerTooSlow: no longer.
        """
        left = self.end - time.monotonic()
        if left <= 0:
            raise AnswerTooSlow("the answer came too slowly")
        return min(self.patience_s, left)

    def take(self, byte_count: int) -> None:
        """Count what came.

        Raises:
            AnswerTooLarge: it is more than there may be.
        """
        self.end += byte_count / SLOWEST
        self.left -= byte_count
        if self.left < 0:
            raise AnswerTooLarge("the answer is larger than it may be")


class _Paced(io.RawIOBase):
    """What a socket receives, as a file that draws on an allowance; `ends`: whether the connection may end in it."""

    def __init__(self, sock: Any, received: Any, allowance: Allowance, *, ends: bool) -> None:
        super().__init__()
        self._sock, self._received = sock, received
        self._allowance, self._ends = allowance, ends

    def readable(self) -> bool:
        return True

    def readinto(self, out: Buffer) -> int:
        self._sock.settimeout(self._allowance.next_s())
        count: int = self._received.readinto(out)
        self._allowance.take(count)
        if not count and not self._ends:
            raise AnswerBroken("the answer broke off")
        return count

    def close(self) -> None:
        self._received.close()
        super().close()

    def renew(self, patience_s: float, byte_count: int) -> None:
        self._allowance.renew(patience_s, byte_count)


class _Line:
    """A connected socket whose files are paced; all else is the socket's own."""

    def __init__(self, sock: Any, allowance: Allowance) -> None:
        self._sock = sock
        self._allowance = allowance

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def makefile(self, mode: str, buffering: int = -1) -> io.BufferedReader | _Paced:
        received = self._sock.makefile(mode, 0)
        if not buffering:
            # So botocore waits for "100 Continue", and reads lines for ever when the connection ends there.
            return _Paced(self._sock, received, self._allowance, ends=False)
        return io.BufferedReader(_Paced(self._sock, received, self._allowance, ends=True))


def bound(client: Any, bounds: Bounds) -> None:
    """Hold every answer to a botocore client to bounds; to be called before its first request.

    The read timeout becomes that of a whole answer, but for the time that its bytes take at the slowest. What exceeds
    the bounds is an error of the connection to botocore; `overstepped` finds out which. Bodies that are read as streams
    begin an allowance of their own (`pace`).
    """
    session = client._endpoint.http_session  # noqa: SLF001  (botocore has no public place for it)
    pools = {scheme: _bounded(pool, bounds) for scheme, pool in session._pool_classes_by_scheme.items()}  # noqa: SLF001
    session._pool_classes_by_scheme = pools  # noqa: SLF001  (those of proxies)
    session._manager.pool_classes_by_scheme = pools  # noqa: SLF001


def pace(stream: Any, patience_s: float, byte_count: int) -> None:
    """Begin the time of a body that is read as a stream.

    Args:
        stream: the urllib3 response.
        patience_s: longest pause, to which the slowest rate that is borne adds.
        byte_count: of the body.
    """
    file = stream._fp.fp  # noqa: SLF001  (none when all of it was read with the headers)
    if file is not None:
        file.raw.renew(patience_s, byte_count + SPARE)


def overstepped(error: BaseException) -> AnswerTooSlow | AnswerTooLarge | AnswerBroken | None:
    """The bound of ours that an error of botocore comes from; None if it comes from something else."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        if isinstance(found, AnswerTooSlow | AnswerTooLarge | AnswerBroken):
            return found
        seen.add(id(found))
        found = found.__cause__ or found.__context__
    return None


def _bounded(pool: Any, bounds: Bounds) -> Any:
    class Connection(pool.ConnectionCls):  # type: ignore[misc]
        sock: Any

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._allowance = Allowance()
            self._more_s = 0.0

        def connect(self) -> None:
            super().connect()
            self.sock = _Line(self.sock, self._allowance)

        def request(self, method: str, url: str, *args: Any, **options: Any) -> Any:
            self._more_s = bounds.more_s(method, url)
            # An answer may come before all is sent; at this moment the timeout is that of the connection.
            self._allowance.renew(self.timeout, bounds.byte_count)
            return super().request(method, url, *args, **options)

        def getresponse(self) -> Any:
            self._allowance.renew(self.timeout, bounds.byte_count, more_s=self._more_s)
            return super().getresponse()

    class Pool(pool):  # type: ignore[misc]
        ConnectionCls = Connection

    return Pool
