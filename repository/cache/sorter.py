"""Sorts more records than there is memory for: dealt into buckets by their first 12 bits, in files if need be.

A record begins with an id. Ids are keyed hashes or random, so the buckets come out alike; each is small enough to be
sorted in memory.
"""

import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from repository.cache.records import LENGTH, again
from repository.layout import CHUNK_ID

BUCKETS: Final = 4096
IN_MEMORY: Final = 24 << 20
"""Bytes of records kept before they are dealt to the buckets' files; twice that in memory."""


class Sorter:
    """Takes records of one length in any order and gives them back sorted.

    Args:
        folder: for the files; made when memory does not do, and removed at the end. Must not be there.
        in_memory: bytes of records to keep in memory.
        length: bytes of a record; by default one of a chunk (`repository.cache.records`).
    """

    def __init__(self, folder: Path, in_memory: int = IN_MEMORY, length: int = LENGTH) -> None:
        self._folder = folder
        self._length = length
        self._most = in_memory // length
        self._records: list[bytes] = []
        self._spilled = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._spilled:
            shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, records: Iterable[bytes]) -> None:
        """Take records.

        Raises:
            OSError: there is no room for the files.
        """
        self._records.extend(records)
        if len(self._records) >= self._most:
            self._spill()

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values in the order of keys: a chunk's id with its place, and for every further place its `again`.

        Raises:
            OSError: the files cannot be written or read.
        """
        for piece in self._pieces():
            yield from _unique(piece)

    def records(self) -> Iterator[bytes]:
        """All records, in order.

        Raises:
            OSError: as `items`.
        """
        for piece in self._pieces():
            yield from piece

    def _pieces(self) -> Iterator[list[bytes]]:
        """The records in order, a bucket at a time: equal ids are in one piece."""
        if not self._spilled:
            yield sorted(self._records)
            return
        self._spill()
        length = self._length
        for number in range(BUCKETS):
            file = self._file(number)
            data = file.read_bytes() if file.exists() else b""
            yield sorted([data[at : at + length] for at in range(0, len(data), length)])

    def _spill(self) -> None:
        if not self._spilled:
            self._folder.mkdir(mode=0o700)
            self._spilled = True
        buckets: dict[int, bytearray] = defaultdict(bytearray)
        for record in self._records:
            buckets[record[0] << 4 | record[1] >> 4] += record
        self._records = []
        for number, bucket in buckets.items():
            with self._file(number).open("ab") as file:
                file.write(bucket)

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:03x}"


def _unique(records: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    before = last = b""
    for record in records:
        chunk_id = record[:CHUNK_ID]
        if chunk_id != before:
            yield chunk_id, record[CHUNK_ID:]
        elif record != last:
            yield again(chunk_id, record[CHUNK_ID:])
        before, last = chunk_id, record
