"""Sorts more chunk records than there is memory for: dealt into buckets by their first 12 bits, in files if need be.

Ids are keyed hashes, so the buckets come out alike; each is small enough to be sorted in memory.
"""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from repository.cache.records import LENGTH
from repository.layout import CHUNK_ID

BUCKETS: Final = 4096
IN_MEMORY: Final = 24 << 20
"""Bytes of records kept before all buckets are appended to their files."""


class Sorter:
    """Takes records of `records.LENGTH` bytes in any order and gives them back sorted, each id once.

    Args:
        folder: for the files; made when memory does not do, and removed at the end. Must not be there.
        in_memory: bytes of records to keep in memory.
    """

    def __init__(self, folder: Path, in_memory: int = IN_MEMORY) -> None:
        self._folder = folder
        self._limit = in_memory
        self._buckets = [bytearray() for _ in range(BUCKETS)]
        self._held = 0
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
        buckets = self._buckets
        count = 0
        for record in records:
            buckets[record[0] << 4 | record[1] >> 4] += record
            count += 1
        self._held += count * LENGTH
        if self._held >= self._limit:
            self._spill()

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """(chunk id, value) in the order of ids; of equal ids, the one with the lowest pack number."""
        for number, bucket in enumerate(self._buckets):
            data = self._file(number).read_bytes() + bucket if self._spilled else bytes(bucket)
            bucket.clear()
            before = b""
            for record in sorted([data[at : at + LENGTH] for at in range(0, len(data), LENGTH)]):
                chunk_id = record[:CHUNK_ID]
                if chunk_id != before:
                    yield chunk_id, record[CHUNK_ID:]
                before = chunk_id

    def _spill(self) -> None:
        if not self._spilled:
            self._folder.mkdir(mode=0o700)
            self._spilled = True
        for number, bucket in enumerate(self._buckets):
            with self._file(number).open("ab") as file:
                file.write(bucket)
        self._buckets = [bytearray() for _ in range(BUCKETS)]
        self._held = 0

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:03x}"
