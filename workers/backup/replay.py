"""Notices that known files come as they were stored before, neighbours and all: a folder moved, or a parent lost.

Then their bytes are better left in the stream: its chunks are known as they are, with the small files in between, of
which the host remembers nothing. Taken out of it, the known files would leave a stream of small ones that nobody has
seen before.
"""

from collections.abc import Sequence
from typing import Final

from repository.cache.files import Extent

WORTH: Final = 1 << 20
"""Bytes between known files after which it is worth a chunk or two to have the stream in step with the former one."""


class Replay:
    """Follows the known files of a segment.

    Args:
        again: whether all of the segment is read, as by a first backup: then it may well be one that was stored before,
            and files stay in the stream as long as they come as they did, from the segment's beginning on.
        worth: bytes between them from which on they are better left in the stream in any case.
    """

    def __init__(self, *, again: bool, worth: int = WORTH) -> None:
        self._again = again
        self._worth = worth
        self._chunk = b""
        self._offset = self._rest = self._end = self._between = 0

    def goes_on(self, extents: Sequence[Extent], end: int) -> bool:
        """Whether the file should stay in the stream.

        Args:
            extents: where the file is stored.
            end: bytes that the segment has read up to the file's end.
        """
        first, last = extents[0], extents[-1]
        gap = end - sum(extent.length for extent in extents) - self._end
        in_chunk = first.chunk_id == self._chunk and first.offset - self._offset == gap
        in_next = first.offset + self._rest == gap
        if in_chunk or in_next:
            self._between += gap
        else:
            self._between = 0
            self._again = False
        self._chunk = last.chunk_id
        self._offset = last.offset + last.length
        self._rest = last.chunk_length - self._offset
        self._end = end
        return self._again or self._between >= self._worth
