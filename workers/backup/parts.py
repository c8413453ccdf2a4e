"""Where a huge file is cut into parts, each a segment of its own: pure, but for looking at the bytes around a seam.

Parts get smaller towards the end of the file, so that all processes end together (guided self-scheduling,
Polychronopoulos and Kuck 1987). A seam is moved to a natural chunk boundary: bytes inserted before it move it along,
and the chunks on both sides stay what they were.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from repository.chunker import MAX_CHUNK, Chunker

Look = Callable[[bytes, int, memoryview], int]
"""Fills the buffer from a path and an offset as far as it can; returns the bytes, 0 also for an error."""

_SHARE = 4
_NATURAL = 2
"""The second boundary found: the first depends more on where the search began."""


class PartSizes(NamedTuple):
    """Bounds of a part in bytes. A file of no more than `largest` is not cut."""

    largest: int = 128 << 20
    least: int = 32 << 20


class Seams:
    """Finds the natural boundary at or behind an offset.

    Args:
        chunker: the vault's.
        look: reads the source.
        window: bytes looked at; at least the longest chunk, and less than the least part.
    """

    def __init__(self, chunker: Chunker, look: Look, window: int = MAX_CHUNK) -> None:
        self._chunker = chunker
        self._look = look
        self._window = window
        self._buffer = memoryview(b"")

    def behind(self, path: bytes, offset: int) -> int:
        """Where to cut, at most `window` bytes behind `offset`; `offset` itself when the source says nothing."""
        if not self._buffer:
            self._buffer = memoryview(bytearray(self._window))
        found = self._look(path, offset, self._buffer)
        seam = 0
        for number, (at, length) in enumerate(self._chunker.cut(self._buffer[:found]), 1):
            if at + length == found and found < self._window:
                break  # the end of what was read is no boundary
            seam = at + length
            if number == _NATURAL:
                break
        return offset + seam


def parts(path: bytes, size: int, seams: Seams | None, sizes: PartSizes) -> Iterator[tuple[int, int]]:
    """(offset, length) of each part of a file, in order and without gaps."""
    start = nominal = 0
    while (left := size - nominal) > sizes.least + sizes.least // _SHARE:
        nominal += max(sizes.least, min(sizes.largest, left // _SHARE))
        end = nominal if seams is None else min(size, seams.behind(path, nominal))
        if end > start:
            yield start, end - start
        start = end
    if start < size:
        yield start, size - start
