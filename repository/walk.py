"""How far a long look at a repository is, told on the way: so that a person sees it, and its lease is renewed."""

from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Final, NamedTuple, TypeVar

EVERY: Final = 4096
"""Items of a comparison, a few microseconds each, between two signs of life."""

T = TypeVar("T")


class Far(NamedTuple):
    """Objects looked at and bytes of data read, so far and in all; a total grows while it is not known."""

    objects: int
    all_objects: int
    byte_count: int
    all_bytes: int


Progress = Callable[[Far], None]
"""Told how far it is, again and again: cheap, may raise to stop the work."""


class Walk:
    """Counts.

    Args:
        tell: hears of every step.
    """

    def __init__(self, tell: Progress | None = None) -> None:
        self._tell = tell
        self._objects = self._all_objects = self._bytes = self._all_bytes = 0

    def expect(self, objects: int = 0, byte_count: int = 0) -> None:
        """So much more is to be done."""
        self._all_objects += objects
        self._all_bytes += byte_count

    def did(self, objects: int = 1, byte_count: int = 0) -> None:
        """So much more is done."""
        self._objects += objects
        self._bytes += byte_count
        self.alive()

    def alive(self) -> None:
        """Nothing can be counted just now, but the work goes on."""
        if self._tell is not None:
            total = max(self._objects, self._all_objects)
            self._tell(Far(self._objects, total, self._bytes, max(self._bytes, self._all_bytes)))

    def through(self, items: Iterable[T]) -> Iterator[T]:
        """The items, with a sign of life every now and then."""
        for number, item in enumerate(items):
            if not number % EVERY:
                self.alive()
            yield item


def joined(names: Iterable[str], wanted: Iterable[str]) -> Iterator[str]:
    """The names of either, each once; both are in ascending order, and neither is held."""
    return map(itemgetter(0), groupby(merge(names, wanted)))


def common(names: Iterable[str], wanted: Iterator[str]) -> Iterator[str]:
    """The names that are wanted; both are in ascending order, and neither is held."""
    sought = next(wanted, None)
    for name in names:
        while sought is not None and sought < name:
            sought = next(wanted, None)
        if sought is None:
            return
        if sought == name:
            yield name
