"""Which packs and chunks the index objects name and which the manifests use, compared in the order of their ids.

Nothing of it is remembered from another run, and nothing looked up: all that is named and all that is used is sorted,
on disk beyond some megabytes, and read once. In memory stay 25 bytes a pack.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from struct import Struct
from types import TracebackType
from typing import Final, NamedTuple, Self

from repository.cache.generations import unusable
from repository.cache.sorter import Sorter
from repository.errors import CacheUnusable
from repository.layout import CHUNK_ID, ID, SEGMENT_ID
from repository.manifest import PackSummary
from repository.pack import RECORD
from repository.walk import Walk

MISSING: Final = 1
OTHER_SIZE: Final = 2
USED: Final = 4
CHOSEN: Final = 8
"""To be read."""
REPEATED: Final = 16
"""Named by another index object before."""
SWEPT: Final = 32
"""Named by a sweep: a restore takes it for gone."""

_PACK: Final = Struct(f">{ID}sI")
"""Pack id, number."""
_CHUNK: Final = Struct(f">{CHUNK_ID}sBQIB")
"""Chunk id, place or use, number of the pack or key of the manifest, plain length, flaw."""
_PLACE, _USE = 0, 1
IN_MEMORY: Final = 24 << 20
"""Bytes of chunks' records before they are sorted on disk; twice that in memory."""
_BESIDE: Final = 6
"""What is sorted beside the chunks takes so much less."""

Place = tuple[int, int, int]
"""Number of the pack, plain or sealed length of the chunk as it was entered, flaw."""
Use = tuple[int, int]
"""Key of the manifest, plain length of the chunk."""


class Chunk(NamedTuple):
    """A chunk that is named or used; `uses` are only good until the next chunk is asked for."""

    id: bytes
    places: list[Place]
    uses: Iterator[Use]


class PackTable:
    """The packs that index objects name, by number: one that two of them name has two numbers."""

    def __init__(self) -> None:
        self._ids = bytearray()
        self.sizes = array("Q")
        self.epochs: set[int] = set()
        """That their chunks are sealed in."""
        self.marks = bytearray()

    def __len__(self) -> int:
        return len(self.marks)

    def add(self, summary: PackSummary) -> int:
        """Its number."""
        self._ids += summary.id
        self.sizes.append(summary.size)
        self.epochs.add(summary.epoch)
        self.marks.append(0)
        return len(self.marks) - 1

    def id_of(self, number: int) -> bytes:
        """The pack's id."""
        return bytes(self._ids[number * ID : number * ID + ID])


class Census:
    """What is named and what is used, of one look at a repository.

    Args:
        folder: private, for what does not stay in memory; with little to sort it need not be there.
        walk: told that it goes on.
        in_memory: bytes of records.
    """

    def __init__(self, folder: Path, walk: Walk, in_memory: int = IN_MEMORY) -> None:
        self.packs = PackTable()
        self._walk = walk
        self._by_id = Sorter(folder / "packs", in_memory // _BESIDE, _PACK.size)
        self._manifests = Sorter(folder / "manifests", in_memory // _BESIDE, SEGMENT_ID)
        self._chunks = Sorter(folder / "chunks", in_memory, _CHUNK.size)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        for sorter in (self._by_id, self._manifests, self._chunks):
            self._open.enter_context(sorter)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def add_pack(self, summary: PackSummary) -> int:
        """A pack that an index object names; returns its number.

        Raises:
            CacheUnusable: there is too much for memory, and no disk.
        """
        number = self.packs.add(summary)
        with _on_disk():
            self._by_id.add([_PACK.pack(summary.id, number)])
        return number

    def add_places(self, number: int, records: bytes, flaws: Mapping[bytes, int]) -> None:
        """The chunks in a pack, from its table; `flaws` are those of chunks that were read and are not good.

        Raises:
            CacheUnusable: as `add_pack`.
        """
        pack, flaw_of = _CHUNK.pack, flaws.get
        with _on_disk():
            self._chunks.add(
                pack(chunk_id, _PLACE, number, raw, flaw_of(chunk_id, 0))
                for chunk_id, _, _, raw, _ in RECORD.iter_unpack(records)
            )

    def add_sealed_places(self, number: int, records: bytes) -> None:
        """The chunks in a pack, from its table, with their sealed lengths in the place of the plain ones.

        Raises:
            CacheUnusable: as `add_pack`.
        """
        pack = _CHUNK.pack
        with _on_disk():
            self._chunks.add(
                pack(chunk_id, _PLACE, number, sealed, 0)
                for chunk_id, _, sealed, _, _ in RECORD.iter_unpack(records)
            )

    def add_manifest(self, ids: Iterable[bytes]) -> None:
        """A manifest and its bases, which a snapshot needs.

        Raises:
            CacheUnusable: as `add_pack`.
        """
        with _on_disk():
            self._manifests.add(ids)

    def add_uses(self, key: int, chunks: Iterable[tuple[bytes, int]]) -> None:
        """The chunks that a manifest's entries refer to, with their lengths; `key` is below 2^64.

        Raises:
            CacheUnusable: as `add_pack`.
        """
        pack = _CHUNK.pack
        with _on_disk():
            self._chunks.add(pack(chunk_id, _USE, key, length, 0) for chunk_id, length in chunks)

    def sorted_packs(self) -> Iterator[tuple[bytes, list[int]]]:
        """Each pack's id and numbers, in the order of ids.

        Raises:
            CacheUnusable: as `add_pack`.
        """
        with _on_disk():
            records = self._walk.through(self._by_id.records())
            for pack_id, group in groupby(records, itemgetter(slice(ID))):
                yield pack_id, [_PACK.unpack(record)[1] for record in group]

    def sorted_manifests(self) -> Iterator[bytes]:
        """The ids of the manifests that are needed, each once, in order.

        Raises:
            CacheUnusable: as `add_pack`.
        """
        with _on_disk():
            for manifest_id, _ in groupby(self._walk.through(self._manifests.records())):
                yield manifest_id

    def chunks(self) -> Iterator[Chunk]:
        """Every chunk that is named or used, in the order of ids.

        Raises:
            CacheUnusable: as `add_pack`.
        """
        with _on_disk():
            records = self._walk.through(self._chunks.records())
            for chunk_id, group in groupby(records, itemgetter(slice(CHUNK_ID))):
                yield _chunk(chunk_id, group)


def _chunk(chunk_id: bytes, records: Iterator[bytes]) -> Chunk:
    places: list[Place] = []
    for record in records:
        if record[CHUNK_ID] == _USE:
            return Chunk(chunk_id, places, map(_use, chain((record,), records)))
        places.append(_CHUNK.unpack(record)[2:])
    return Chunk(chunk_id, places, iter(()))


def _use(record: bytes) -> Use:
    _, _, key, length, _ = _CHUNK.unpack(record)
    return key, length


@contextmanager
def _on_disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CacheUnusable(
            f"there is too much to compare in memory: {unusable(error.strerror).message}",
            remedy="give the folder `cache` of the maintenance worker's home room on a local disk",
        ) from error
