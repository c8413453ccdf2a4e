"""Sorts more chunk records than there is memory for: dealt into buckets by their first 12 bits, in files if need be.

Ids are keyed hashes, so the buckets come out alike; each is small enough to be sorted in memory.
"""

import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from repository.cache.records import LENGTH
from repository.layout import CHUNK_ID

BUCKETS: Final = 4096
IN_MEMORY: Final = 24 << 20
"""Bytes of records kept before they are dealt to the buckets' files; twice that in memory."""


class Sorter:
    """Takes records of `records.LENGTH` bytes in any order and gives them back sorted, each id once.

    Args:
        folder: for the files; made when memory does not do, and removed at the end. Must not be there.
        in_memory: bytes of records to keep in memory.
    """

    def __init__(self, folder: Path, in_memory: int = IN_MEMORY) -> None:
        self._folder = folder
        self._most = in_memory // LENGTH
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
        """(chunk id, value) in the order of ids; of equal ids, the one with the lowest pack number.

        Raises:
            OSError: the files cannot be written or read.
        """
        if not self._spilled:
            yield from _in_order(self._records)
            return
        self._spill()
        for number in range(BUCKETS):
            file = self._file(number)
            data = file.read_bytes() if file.exists() else b""
            yield from _in_order([data[at : at + LENGTH] for at in range(0, len(data), LENGTH)])

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


def _in_order(records: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    before = b""
    for record in sorted(records):
        chunk_id = record[:CHUNK_ID]
        if chunk_id != before:
            yield chunk_id, record[CHUNK_ID:]
        before = chunk_id
