"""The index objects of a vault as tables on this host: chunks, packs, and the names of the objects that are in them.

    chunks   chunk id           -> place and checksum (`records`); further places under longer keys, right after it
    packs    pack id            -> number u32, checksum
    places   number u32         -> pack id, epoch u32, checksum
    begun    id of index object -> nothing; while its packs and chunks are being entered
    objects  id of index object -> nothing; when they all are

Within a generation entries are only added, never changed: a reader needs no snapshot.
"""

import os
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

from repository.access import VaultId
from repository.cache.environment import Environment, Update
from repository.cache.generations import Generations, unusable
from repository.cache.records import again, checked, decoded, encoded, require_whole, with_check
from repository.cache.sorter import Sorter
from repository.errors import CacheDamaged
from repository.index import Location
from repository.layout import CHUNK_ID, ID
from repository.manifest import PackSummary

SCHEMA: Final = b"strongroom chunks 2\n"
APPENDED: Final = 65_536
"""Entries of one transaction that only appends or only reads in order."""
INSERTED: Final = 2048
"""Entries of one that inserts: each may take another page, and the system maps some pages around each."""
_CHUNKS, _PACKS, _PLACES, _BEGUN, _OBJECTS = _TABLES = (b"chunks", b"packs", b"places", b"begun", b"objects")
_NUMBER: Final = struct.Struct(">I")
MOST_PLACES: Final = 8
"""Of one chunk, that are looked at."""
_PLACE: Final = struct.Struct(f">{ID}sI")

ReadObjects = Callable[[Sequence[bytes]], Iterable[tuple[bytes, Sequence[PackSummary]]]]

T = TypeVar("T")


class ChunkTables:
    """Where the chunks of one vault are, on disk; each method raises CacheDamaged or CacheUnusable.

    Args:
        folder: of this vault and role.
        vault: whose chunks.
    """

    def __init__(self, folder: Path, vault: VaultId) -> None:
        self._generations = Generations(folder)
        self._env = Environment(self._generations, SCHEMA + vault.tenant + vault.vault, _TABLES)
        self._objects: frozenset[bytes] = frozenset()
        self._begun: frozenset[bytes] = frozenset()
        self._seen: tuple[str, int] | None = None
        self._scanned: tuple[str, int] | None = None

    def open(self) -> bool:
        """Have the tables open that count now; False if there are none to be used."""
        return self._env.open()

    def close(self) -> None:
        """Give files and memory back."""
        self._env.close()

    def discard(self) -> None:
        """Forget these tables: they are not to be trusted."""
        self._env.discard()

    def exclusive(self) -> AbstractContextManager[None]:
        """Be the one process that changes them."""
        return self._generations.exclusive()

    def objects(self) -> frozenset[bytes]:
        """Ids of the index objects that are wholly in the tables."""
        version = self._env.version()
        if version != self._seen:
            self._objects, self._begun = self._ids(_OBJECTS), self._ids(_BEGUN)
            self._seen = version
        return self._objects

    def begun(self) -> frozenset[bytes]:
        """Ids of the index objects of which a process that died may have entered a part."""
        self.objects()
        return self._begun

    def _ids(self, table: bytes) -> frozenset[bytes]:
        return frozenset(key for key, _ in self._env.items(table, b"", 1 + self._env.count(table)))

    def __len__(self) -> int:
        """Places of chunks."""
        return self._env.count(_CHUNKS)

    def size(self) -> int:
        """Bytes on the disk."""
        return self._env.size()

    def holds(self, chunk_id: bytes) -> bool:
        """Whether an index object names the chunk."""
        value = self._env.get(_CHUNKS, chunk_id)
        if value is None:
            return False
        require_whole(chunk_id, value)
        return True

    def find(self, chunk_id: bytes) -> Location | None:
        """Where the chunk is, if an index object names it."""
        value = self._env.get(_CHUNKS, chunk_id)
        return None if value is None else self._location(chunk_id, value)

    def places(self, chunk_id: bytes) -> list[Location]:
        """Every place of the chunk, the one that `find` gives first."""
        entries = self._env.items(_CHUNKS, chunk_id, MOST_PLACES)
        return [self._location(key, value) for key, value in entries if key.startswith(chunk_id)]

    def _location(self, key: bytes, value: bytes) -> Location:
        place = decoded(key, value)
        number = _NUMBER.pack(place.pack)
        pack = self._env.get(_PLACES, number)
        if pack is None:
            raise CacheDamaged("the cache has lost a pack")
        pack_id, epoch = checked(number, pack, _PLACE)
        return Location(pack_id, epoch, *place[1:])

    def knows_pack(self, pack_id: bytes) -> bool:
        """Whether an index object names the pack."""
        return self._env.get(_PACKS, pack_id) is not None

    def packs(self, after: bytes) -> list[bytes]:
        """Ids of the next packs that index objects name, ascending, after this one; none at the end."""
        piece = self._env.items(_PACKS, after, APPENDED)
        self._env.remap()
        return [pack_id for pack_id, _ in piece if pack_id > after]

    def build(self, ids: Iterable[bytes], read: ReadObjects) -> None:
        """Put other tables in the place of these. Only within `exclusive`.

        Args:
            ids: of the index objects.
            read: gives the ids of those that can be read, and their packs.
        """
        self._env.replace(lambda: self._load(ids, read, fresh=True))

    def learn(self, ids: Iterable[bytes], read: ReadObjects) -> None:
        """Add index objects to these tables, as `build`; again those that are begun. Only within `exclusive`."""
        self._load(ids, read, fresh=False)

    def is_sound(self) -> bool:
        """Whether every entry is whole, in its place, and none is lost: looked at once for each state.

        A damaged page may hide entries, so that "not there" is only to be believed of tables that are sound.
        """
        version = self._env.version()
        if version == self._scanned:
            return True
        try:
            sound = self._scan() == self._env.count(_CHUNKS)
        except CacheDamaged:
            return False
        if sound:
            self._scanned = version
        return sound

    def _scan(self) -> int:
        count, last = 0, b""
        while True:
            # In pieces, so that neither the mapping nor one transaction grows with the tables.
            piece = self._env.items(_CHUNKS, last, APPENDED)
            for chunk_id, value in piece:
                if chunk_id > last:
                    require_whole(chunk_id, value)
                    count += 1
                elif chunk_id < last or not count:
                    raise CacheDamaged("the cache is out of order")
                last = chunk_id
            if len(piece) < APPENDED:
                return count
            self._env.remap()

    def _load(self, ids: Iterable[bytes], read: ReadObjects, *, fresh: bool) -> None:
        wanted = sorted(ids)
        # Known as begun until all is there: were its object gone then, a pack would be known that no object names.
        self._env.update(lambda update: update.put(_BEGUN, [(each, b"") for each in wanted]))
        entered = []
        try:
            with Sorter(self._generations.folder / f"sort-{os.urandom(4).hex()}") as sorter:
                for object_id, packs in read(wanted):
                    for summary, number in zip(packs, self._numbered(packs), strict=True):
                        sorter.add(encoded(number, summary.records))
                    entered.append((object_id, b""))
                for batch in batched(sorter.items(), APPENDED if fresh else INSERTED):
                    self._insert(batch, fresh=fresh)
                    self._env.remap()
        except OSError as error:
            raise unusable(error.strerror) from error

        def finish(update: Update) -> None:
            update.put(_OBJECTS, entered)
            update.clear(_BEGUN)

        self._env.update(finish)

    def _numbered(self, packs: Sequence[PackSummary]) -> list[int]:
        """The numbers of the packs; those that have none yet get one."""

        def enter(update: Update) -> list[int]:
            return [_number_of(update, summary) for summary in packs]

        return self._env.update(enter)

    def _insert(self, batch: Sequence[tuple[bytes, bytes]], *, fresh: bool) -> None:
        def enter(update: Update) -> None:
            if update.put(_CHUNKS, batch, append=fresh) == len(batch):
                return
            # A chunk that is there keeps its place; the one that came now is a further one.
            known = ((key, value, update.get(_CHUNKS, key)) for key, value in batch if len(key) == CHUNK_ID)
            further = [again(key, value) for key, value, there in known if there != value]
            update.put(_CHUNKS, further)

        self._env.update(enter)


def _number_of(update: Update, summary: PackSummary) -> int:
    known = update.get(_PACKS, summary.id)
    if known is not None:
        return int(checked(summary.id, known, _NUMBER)[0])
    number = update.count(_PLACES)
    key = _NUMBER.pack(number)
    update.put(_PLACES, [with_check(key, _PLACE.pack(summary.id, summary.epoch))])
    update.put(_PACKS, [with_check(summary.id, key)])
    return number


def batched(items: Iterable[T], most: int) -> Iterator[list[T]]:
    """Lists of at most `most` items, in order; none is empty."""
    iterator = iter(items)
    while batch := list(islice(iterator, most)):
        yield batch
