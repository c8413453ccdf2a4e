"""Which pack holds which chunk: sealed index objects in the store, and one compact table of them in memory.

In memory a chunk costs its 45-byte record, 4 bytes for its pack and 8 to 16 bytes of hash slots; there is no
Python object per chunk. Chunk ids are keyed hashes, so their first bytes are as good as a hash.
"""

import struct
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final, NamedTuple, Protocol

from crypto.header import Kind
from repository import layout
from repository.access import KeyRing, VaultId
from repository.errors import ChunkMissing, IndexTooLarge, ObjectDamaged, ObjectExists, RepositoryError
from repository.listed import fail, read_listed
from repository.manifest import IndexBody, PackSummary
from repository.objects import MAX_INDEX, any_epoch, open_object, parse, put_struct
from repository.pack import RECORD, check_summary
from repository.prunes import NOTHING_STRUCK, Struck
from repository.store import ReadStore, WriteStore

_HASH: Final = struct.Struct(">Q37x")
_PER_OBJECT = MAX_INDEX // 2
"""Record bytes after which a writer begins another index object."""
_PACK_OVERHEAD = 64

OnDamaged = Callable[[str, RepositoryError], None]
"""Told the name and the error of an object that cannot be used; the rest goes on."""


class Location(NamedTuple):
    """Where a chunk is: lengths and offset in bytes, `codec` from `repository.compression`."""

    pack: bytes
    epoch: int
    offset: int
    sealed_len: int
    raw_len: int
    codec: int


class IndexedPack(NamedTuple):
    """What the index knows of a pack itself."""

    id: bytes
    epoch: int
    size: int


class ChunkIndex(Protocol):
    """Which pack holds which chunk, as a backup and a restore ask.

    `Index` has all of it in memory; `repository.cache.index.HostIndex` shares it on disk with the other processes of
    its host. What a method does in full is said there.
    """

    def contains(self, chunk_id: bytes) -> bool:
        """Whether some stored pack holds the chunk."""
        ...

    def locate(self, chunk_id: bytes) -> Location:
        """Where the chunk is, or ChunkMissing."""
        ...

    def places(self, chunk_id: bytes) -> list[Location]:
        """Every place of the chunk that is known; the one that `locate` gives comes first."""
        ...

    def knows_pack(self, pack_id: bytes) -> bool:
        """Whether the pack's table is in the index."""
        ...

    def indexed_packs(self) -> Iterator[bytes]:
        """Ids of the packs that index objects name, ascending."""
        ...

    def unindexed_pack_of(self, chunk_id: bytes) -> PackSummary | None:
        """The pack that a contained chunk is in, if no index object names that pack yet."""
        ...

    def add_pack(self, summary: PackSummary) -> None:
        """Learn a pack that no index object names yet."""
        ...

    def forget_unindexed(self) -> None:
        """Drop what only this process knows."""
        ...

    def refresh(
        self,
        store: ReadStore,
        vault: VaultId,
        keys: KeyRing,
        on_damaged: OnDamaged | None = None,
        struck: Struck = NOTHING_STRUCK,
    ) -> None:
        """Learn the index objects that are new, and forget what those that are gone named, and what is struck."""
        ...


class Index:
    """All chunks that the index objects loaded so far name, in memory.

    Args:
        most: records that may come from index objects.
    """

    def __init__(self, most: int = sys.maxsize) -> None:
        self._most = most
        self._clear()

    def _clear(self) -> None:
        self._records = bytearray()
        self._pack_of = array("I")
        self._slots = array("I", bytes(4 * 1024))
        self._packs: list[IndexedPack] = []
        self._known: set[bytes] = set()
        self._unindexed: dict[bytes, PackSummary] = {}
        self._loaded: set[str] = set()
        self._struck: frozenset[str] = frozenset()

    def __len__(self) -> int:
        """Records held; a chunk that is in two packs counts twice."""
        return len(self._pack_of)

    def contains(self, chunk_id: bytes) -> bool:
        """Whether some stored pack holds the chunk."""
        return self._find(chunk_id) >= 0

    def locate(self, chunk_id: bytes) -> Location:
        """Where the chunk is; the first place learnt if there are several.

        Raises:
            ChunkMissing: no index object names it.
        """
        number = self._find(chunk_id)
        if number < 0:
            raise ChunkMissing(
                f"no pack is known to hold chunk {chunk_id.hex()}",
                chunk_id=chunk_id,
                remedy="run `strongroom check`",
            )
        return self._location(number)

    def places(self, chunk_id: bytes) -> list[Location]:
        """Every place of the chunk, in the order of learning. Looks through all records: only for what is lost."""
        found: list[Location] = []
        at = self._records.find(chunk_id)
        while at >= 0:
            if at % RECORD.size == 0:
                found.append(self._location(at // RECORD.size))
            at = self._records.find(chunk_id, at + 1)
        return found

    def _location(self, number: int) -> Location:
        _, offset, sealed, raw, codec = RECORD.unpack_from(self._records, number * RECORD.size)
        pack = self._packs[self._pack_of[number]]
        return Location(pack.id, pack.epoch, offset, sealed, raw, codec)

    def packs(self) -> Iterator[IndexedPack]:
        """Every pack known."""
        return iter(self._packs)

    def knows_pack(self, pack_id: bytes) -> bool:
        """Whether the pack's table is in the index."""
        return pack_id in self._known

    def indexed_packs(self) -> Iterator[bytes]:
        """Ids of the packs that index objects name, ascending."""
        return iter(sorted(self._known.difference(self._unindexed)))

    def unindexed_pack_of(self, chunk_id: bytes) -> PackSummary | None:
        """The pack that a contained chunk is in, if no index object names that pack yet.

        Whoever refers to such a chunk must see to it that an index object names the pack before a snapshot
        does: the attempt that stored the pack may have died.
        """
        if not self._unindexed:
            return None
        number = self._find(chunk_id)
        return self._unindexed.get(self._packs[self._pack_of[number]].id) if number >= 0 else None

    def unindexed(self) -> list[PackSummary]:
        """The packs that no index object names yet."""
        return list(self._unindexed.values())

    def forget_unindexed(self) -> None:
        """Drop what only this process knows; `refresh` then loads the rest again."""
        if self._unindexed:
            self._clear()

    def add_pack(self, summary: PackSummary) -> None:
        """Learn the table of a pack that no index object names yet; one that is known is left alone.

        Raises:
            ObjectDamaged: the table breaks a rule.
        """
        if summary.id not in self._known:
            self.learn(summary)
            self._unindexed[summary.id] = summary

    def learn(self, summary: PackSummary) -> None:
        """Take in a pack that an index object names, and that is not known yet.

        Raises:
            ObjectDamaged: the table breaks a rule.
        """
        check_summary(summary)
        self._known.add(summary.id)
        first = len(self._pack_of)
        self._packs.append(IndexedPack(summary.id, summary.epoch, summary.size))
        count = len(summary.records) // RECORD.size
        self._records += summary.records
        self._pack_of.extend([len(self._packs) - 1] * count)
        if 2 * (first + count) > len(self._slots):
            self._grow(first + count)
        else:
            self._insert(summary.records, first)

    def refresh(
        self,
        store: ReadStore,
        vault: VaultId,
        keys: KeyRing,
        on_damaged: OnDamaged | None = None,
        struck: Struck = NOTHING_STRUCK,
    ) -> None:
        """Load the index objects that are new; start afresh if one of the old ones was replaced, or packs are struck.

        Args:
            on_damaged: told the name and the error of an object that cannot be used, and the rest goes on;
                without it the first such error is raised.
            struck: packs that are as good as not there.

        Raises:
            RepositoryError: an index object cannot be read, and there is no `on_damaged`.
            IndexTooLarge: there are more records than may be; then there are none.
        """
        names = list(store.list(layout.INDEX))
        if not self._loaded.issubset(names) or struck.objects != self._struck:
            self._clear()
        self._struck = struck.objects
        read = partial(read_named, store, vault, keys)
        for name, packs in read_listed(store, names, read, on_damaged or fail, self._loaded):
            for summary in packs:
                self._unindexed.pop(summary.id, None)
                if summary.id not in self._known and summary.id not in struck.packs:
                    self.learn(summary)
            self._loaded.add(name)
            if len(self) > self._most:
                self._clear()
                raise IndexTooLarge(f"the index of this vault has more than {self._most} chunks")

    def _find(self, chunk_id: bytes) -> int:
        slots = self._slots
        mask = len(slots) - 1
        slot = int.from_bytes(chunk_id[:8], "big") & mask
        while found := slots[slot]:
            at = (found - 1) * RECORD.size
            if self._records.startswith(chunk_id, at):
                return found - 1
            slot = (slot + 1) & mask
        return -1

    def _grow(self, needed: int) -> None:
        size = len(self._slots)
        while size < 4 * needed:
            size *= 2
        self._slots = array("I", bytes(4 * size))
        self._insert(self._records, 0)

    def _insert(self, records: bytes | bytearray, first: int) -> None:
        """Enter records that are already at `first` and up of the table; an id that is there already stays."""
        slots, mask, table, width = self._slots, len(self._slots) - 1, self._records, RECORD.size
        for number, (hashed,) in enumerate(_HASH.iter_unpack(records), first):
            slot = hashed & mask
            while found := slots[slot]:
                at = number * width
                if table.startswith(table[at : at + layout.CHUNK_ID], (found - 1) * width):
                    break
                slot = (slot + 1) & mask
            else:
                slots[slot] = number + 1


def write_indexes(
    store: WriteStore,
    vault: VaultId,
    keys: KeyRing,
    epoch: int,
    job: bytes,
    fence: int,
    packs: Iterable[PackSummary],
) -> list[str]:
    """Store the tables of `packs` as one index object or several; all the packs are stored already.

    No more than one object's tables are held at a time.

    Writing again what a finalizer that died has written is no error, nor is a pack that is named twice: several
    segments may rely on it.

    Returns:
        The names, in order.

    Raises:
        ObjectExists: the name holds other packs.
        StoreError: the store refused.
    """
    names = []
    for number, group in enumerate(_grouped(packs)):
        index_id = layout.segment_id(job, fence, number)
        name = layout.index_name(index_id)
        header = vault.header(Kind.INDEX, epoch, index_id)
        try:
            put_struct(store, name, keys.dek(epoch), header, IndexBody(group), MAX_INDEX)
        except ObjectExists:
            if read_index(store, vault, keys, index_id) != group:
                raise
        names.append(name)
    return names


def read_index(store: ReadStore, vault: VaultId, keys: KeyRing, index_id: bytes) -> list[PackSummary]:
    """The packs of one index object.

    Raises:
        ObjectMissing, StoreError, UnknownFormat, VaultMismatch, WrongObject, ObjectDamaged: it cannot be
        used.
    """
    name = layout.index_name(index_id)
    opened = open_object(store, name, keys, any_epoch(vault, Kind.INDEX, index_id), MAX_INDEX)
    packs = parse(IndexBody, opened.body, name, MAX_INDEX).packs
    for summary in packs:
        try:
            check_summary(summary)
        except ObjectDamaged as error:
            raise ObjectDamaged(f"{name}: {error.message}") from error
    return packs


def read_named(store: ReadStore, vault: VaultId, keys: KeyRing, name: str) -> list[PackSummary]:
    """`read_index` of the object that has this name."""
    return read_index(store, vault, keys, layout.id_of(name))


def _grouped(packs: Iterable[PackSummary]) -> Iterator[list[PackSummary]]:
    group: list[PackSummary] = []
    seen: set[bytes] = set()
    size = 0
    for summary in packs:
        if summary.id in seen:
            continue
        seen.add(summary.id)
        added = len(summary.records) + _PACK_OVERHEAD
        if group and size + added > _PER_OBJECT:
            yield group
            group, size = [], 0
        group.append(summary)
        size += added
    if group:
        yield group
