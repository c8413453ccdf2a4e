"""Try again what can succeed later: decorators around a store, and the one place that decides what that is.

Delays grow with full jitter inside a deadline
(aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter), so that many workers do not come back at
the same moment.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias, TypeVar

from typing_extensions import Buffer

from repository.errors import ObjectExists, RepositoryError, StoreUnreachable
from repository.store import PruneStore, ReadStore, Version, WriteStore, check_prefix

RETRYABLE: tuple[type[RepositoryError], ...] = (StoreUnreachable,)
"""Everything else is permanent: the same call would fail again, or its object is not to be trusted."""

TELL_AFTER_S: Final = 1.0
"""What takes no longer than that is not worth a word."""

OnWait: TypeAlias = Callable[[RepositoryError, float], None]
"""Told why a call is tried again, and for how many seconds more. From any thread; must not raise."""

_COMPARE = 4 << 20
T = TypeVar("T")


def unheard(error: RepositoryError, left_s: float) -> None:
    """An OnWait: nobody is told."""


def anyway() -> None:
    """A `RetryPolicy.require` that never minds."""


def is_retryable(error: BaseException) -> bool:
    """Whether the same call may succeed later without anybody acting."""
    return isinstance(error, RETRYABLE)


@dataclass(frozen=True)
class RetryPolicy:
    """How long to try, and who is told of it. Times in seconds; the clock, the sleep and the dice can be replaced."""

    deadline_s: float = 30.0
    first_s: float = 0.1
    longest_s: float = 5.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    jitter: Callable[[float], float] = field(default=lambda bound: random.uniform(0.0, bound))  # noqa: S311
    on_wait: OnWait = unheard
    """Told once for each call that is tried for longer than `TELL_AFTER_S`."""
    require: Callable[[], None] = anyway
    """Asked before each attempt, also the first; what it raises ends the call."""

    def run(self, call: Callable[[int], T]) -> T:
        """Run `call(attempt)`, attempt counted from 0, until it succeeds or the deadline would pass.

        Raises:
            RepositoryError: the last one, at once if it is permanent.
            StrongroomError: what `require` raises.
        """
        begun = self.clock()
        end = begun + self.deadline_s
        attempt, told = 0, False
        while True:
            self.require()
            try:
                return call(attempt)
            except RETRYABLE as error:
                delay = self.jitter(min(self.longest_s, self.first_s * 2.0 ** min(attempt, 16)))
                now = self.clock()
                if now + delay >= end:
                    raise
                if not told and now + delay - begun > TELL_AFTER_S:
                    told = True
                    self.on_wait(error, end - now)
            self.sleep(delay)
            attempt += 1


class RetryingReader:
    """A ReadStore that tries again."""

    def __init__(self, inner: ReadStore, policy: RetryPolicy) -> None:
        self._reader = inner
        self._policy = policy

    def get(self, name: str, limit: int) -> bytes:
        """See ReadStore."""
        return self._policy.run(lambda _: self._reader.get(name, limit))

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        """See ReadStore."""
        return self._policy.run(lambda _: self._reader.get_range(name, offset, length))

    def read_into(self, name: str, offset: int, out: memoryview) -> None:
        """See ReadStore."""
        self._policy.run(lambda _: self._reader.read_into(name, offset, out))

    def size(self, name: str) -> int:
        """See ReadStore."""
        return self._policy.run(lambda _: self._reader.size(name))

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        """See ReadStore. A listing that breaks off goes on after the last name that it gave."""
        check_prefix(prefix)
        return self._names(prefix, after)

    def versions(self, prefix: str) -> Sequence[Version]:
        """See ReadStore."""
        return self._policy.run(lambda _: self._reader.versions(prefix))

    def _names(self, prefix: str, after: str) -> Iterator[str]:
        names: Iterator[str] | None = None
        last = after

        def following(_: int) -> str | None:
            nonlocal names
            if names is None:
                names = self._reader.list(prefix, last)
            try:
                return next(names, None)
            except RepositoryError:
                names = None
                raise

        while (name := self._policy.run(following)) is not None:
            last = name
            yield name


class RetryingWriter(RetryingReader):
    """A WriteStore that tries again.

    Args:
        looks: whether it may read what it wrote; who only delivers may not.
    """

    def __init__(self, inner: WriteStore, policy: RetryPolicy, *, looks: bool = True) -> None:
        super().__init__(inner, policy)
        self._writer = inner
        self._looks = looks

    def put(self, name: str, parts: Sequence[Buffer]) -> None:
        """See WriteStore. A name found taken after a failed attempt is ours if it holds the same bytes."""

        def attempt(number: int) -> None:
            try:
                self._writer.put(name, parts)
            except ObjectExists:
                if number == 0 or not self._looks or not self._holds(name, parts):
                    raise

        self._policy.run(attempt)

    def _holds(self, name: str, parts: Sequence[Buffer]) -> bool:
        views = [memoryview(part).cast("B") for part in parts]
        if self._writer.size(name) != sum(map(len, views)):
            return False
        at = 0
        for view in views:
            for start in range(0, len(view), _COMPARE):
                piece = view[start : start + _COMPARE]
                if self._writer.get_range(name, at, len(piece)) != piece:
                    return False
                at += len(piece)
        return True


class RetryingPruner(RetryingWriter):
    """A PruneStore that tries again."""

    def __init__(self, inner: PruneStore, policy: RetryPolicy) -> None:
        super().__init__(inner, policy)
        self._pruner = inner

    def delete(self, name: str) -> None:
        """See PruneStore."""
        self._policy.run(lambda _: self._pruner.delete(name))

    def extend(self, name: str) -> bool:
        """See PruneStore."""
        return self._policy.run(lambda _: self._pruner.extend(name))

    def sweep(self, older_than_s: float) -> int:
        """See PruneStore."""
        return self._policy.run(lambda _: self._pruner.sweep(older_than_s))
