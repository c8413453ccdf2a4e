"""Reading packs for a check: every chunk is opened, unpacked and named anew."""

from collections.abc import Iterator
from typing import NamedTuple

from crypto.chunkid import ChunkIds
from repository import layout
from repository.compression import Decompressor
from repository.damage import DOES_NOT_OPEN, DOES_NOT_UNPACK, OTHER_CONTENT, TEXTS
from repository.errors import FormatError, ObjectMissing
from repository.fetch import Fetched, Fetcher, FetchFailure
from repository.findings import Findings
from repository.index import Index, Location
from repository.manifest import PackSummary
from repository.pack import RECORD, read_table
from repository.usage import Subject
from repository.walk import Walk


class ReadCounts(NamedTuple):
    """Packs read, their bytes, and the chunks in them that are good."""

    packs: int = 0
    bytes: int = 0
    chunks: int = 0


class PackReader:
    """Reads packs, one after the other.

    Args:
        subject: whose packs.
        findings: told what is wrong with each.
        walk: told of packs and bytes.
    """

    def __init__(self, subject: Subject, findings: Findings, walk: Walk) -> None:
        self._subject = subject
        self._findings = findings
        self._walk = walk
        self._ids = ChunkIds(subject.keys.chunk_id_key())
        self._fetcher = Fetcher(*subject, Index())  # where chunks are is said with each
        self._inflate = Decompressor()
        self.counts = ReadCounts()

    def read(self, summary: PackSummary) -> dict[bytes, int]:
        """Read a pack that is there; the flaws of the chunks that are not good, by their ids.

        Raises:
            StoreError: the store does not answer.
        """
        self._compare_table(summary)
        name = layout.pack_name(summary.id)
        flaws: dict[bytes, int] = {}
        good = told = 0
        for got in self._fetcher.fetch_at(_places(summary)):
            flaw = self._flaw_of(got)
            if flaw:
                flaws[got.chunk_id] = flaw
                self._findings.add(name, TEXTS[flaw])
            else:
                good += 1
            if isinstance(got, Fetched):
                told += len(got.payload)
                self._walk.did(0, len(got.payload))
        # What is no chunk's: header, seals, table.
        self._walk.did(1, max(0, summary.size - told))
        before = self.counts
        self.counts = ReadCounts(before.packs + 1, before.bytes + summary.size, before.chunks + good)
        return flaws

    def _compare_table(self, summary: PackSummary) -> None:
        name = layout.pack_name(summary.id)
        try:
            if read_table(*self._subject, summary.id) != summary:
                self._findings.add(name, "the pack's own table and the index differ")
        except (FormatError, ObjectMissing) as error:
            self._findings.add(name, error.message)

    def _flaw_of(self, got: Fetched | FetchFailure) -> int:
        if not isinstance(got, Fetched):
            return DOES_NOT_OPEN
        try:
            data = self._inflate.decompress(got.codec, got.payload, got.raw_len)
        except FormatError:
            return DOES_NOT_UNPACK
        return 0 if self._ids.name(data) == got.chunk_id else OTHER_CONTENT


def _places(summary: PackSummary) -> Iterator[tuple[bytes, Location]]:
    for chunk_id, offset, sealed, raw, codec in RECORD.iter_unpack(summary.records):
        yield chunk_id, Location(summary.id, summary.epoch, offset, sealed, raw, codec)
