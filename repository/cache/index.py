"""A vault's index of which the host's processes share one copy on disk, instead of one in the memory of each.

What no index object names yet is known to one process only, and stays in its memory. Without a usable disk all of it
is in memory, as far as memory goes.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from repository import layout
from repository.access import KeyRing, VaultId
from repository.cache.tables import ChunkTables
from repository.errors import (
    CacheDamaged,
    CacheError,
    CacheReplaced,
    CacheUnusable,
    IndexTooLarge,
    RepositoryError,
)
from repository.index import Index, Location, OnDamaged, read_named
from repository.listed import fail, read_listed
from repository.manifest import PackSummary
from repository.prunes import NOTHING_STRUCK, Struck
from repository.store import ReadStore

logger = logging.getLogger(__name__)

IN_MEMORY: Final = 2_000_000
"""Records that a process may hold when the disk cannot be used: some 130 MB."""
DISK_AGAIN_S: Final = 300.0
"""Seconds after which a disk that could not be used is tried again."""

T = TypeVar("T")


class HostIndex:
    """The chunks of one vault; a `repository.index.ChunkIndex`.

    A lookup that finds the tables damaged has them made again from the repository, with what the last `refresh` was
    given, and is then answered.

    Args:
        folder: of this vault and this role, private, on a local disk.
        vault: whose chunks.
        in_memory: records that may be in memory if the disk cannot be used.
    """

    def __init__(self, folder: Path, vault: VaultId, in_memory: int = IN_MEMORY) -> None:
        self._disk = ChunkTables(folder, vault)
        self._usable = False
        self._not_before = 0.0
        self._why = ""
        self._recovered = -DISK_AGAIN_S
        self._limit = in_memory
        self._memory = Index(in_memory)
        self._struck: frozenset[bytes] = frozenset()
        self._again: Callable[[], None] = lambda: None

    def close(self) -> None:
        """Give the disk's files and memory back."""
        self._disk.close()
        self._usable = False

    def contains(self, chunk_id: bytes) -> bool:
        """Whether some stored pack holds the chunk.

        Raises:
            RepositoryError: the cache broke, and could not be made again.
        """
        if self._memory.contains(chunk_id):
            return True
        if not self._usable:
            return False
        try:
            return self._holds(chunk_id)
        except CacheError as error:
            self._recover(error)
            return self.contains(chunk_id)

    def locate(self, chunk_id: bytes) -> Location:
        """Where the chunk is.

        Raises:
            ChunkMissing: no index object names it, and no pack learnt since.
            RepositoryError: as `contains`.
        """
        return self._ask(partial(self._located, chunk_id)) or self._memory.locate(chunk_id)

    def places(self, chunk_id: bytes) -> list[Location]:
        """Every place of the chunk that is known; the one that `locate` gives comes first."""
        on_disk = self._ask(lambda: self._disk.places(chunk_id)) or []
        found = [each for each in on_disk if each.pack not in self._struck]
        return found + [each for each in self._memory.places(chunk_id) if each not in found]

    def knows_pack(self, pack_id: bytes) -> bool:
        """Whether the pack's table is in the index."""
        found = self._ask(lambda: self._disk.knows_pack(pack_id))
        return bool(found) or self._memory.knows_pack(pack_id)

    def indexed_packs(self) -> Iterator[bytes]:
        """Ids of the packs that index objects name, ascending; fewer if the cache breaks on the way."""
        if not self._usable:
            yield from self._memory.indexed_packs()
            return
        last = b""
        while piece := self._ask(partial(self._disk.packs, last)):
            yield from piece
            last = piece[-1]

    def unindexed_pack_of(self, chunk_id: bytes) -> PackSummary | None:
        """The pack that a contained chunk is in, if no index object names that pack yet."""
        found = self._memory.unindexed_pack_of(chunk_id)
        return None if found is None or self._ask(lambda: self._holds(chunk_id)) else found

    def add_pack(self, summary: PackSummary) -> None:
        """Learn the table of a pack that no index object names yet; one that is known is left alone.

        Raises:
            ObjectDamaged: the table breaks a rule.
        """
        if not self.knows_pack(summary.id):
            self._memory.add_pack(summary)

    def forget_unindexed(self) -> None:
        """Drop what only this process knows."""
        if self._usable:
            self._memory = Index(self._limit)
        else:
            self._memory.forget_unindexed()

    def refresh(
        self,
        store: ReadStore,
        vault: VaultId,
        keys: KeyRing,
        on_damaged: OnDamaged | None = None,
        struck: Struck = NOTHING_STRUCK,
    ) -> None:
        """Learn the index objects that no process of this host has learnt; make the cache again if one is gone.

        Raises:
            RepositoryError: an index object cannot be read, and there is no `on_damaged`.
            IndexTooLarge: the disk cannot be used, and the index is too large for memory.
        """
        self._again = partial(self.refresh, store, vault, keys, on_damaged, struck)
        self._struck = struck.packs
        source = _Source(store, vault, keys, on_damaged, struck)
        if time.monotonic() >= self._not_before:
            try:
                self._refresh_disk(source)
                self._usable = True
                self._settle()
            except CacheDamaged as error:
                self._recover(error)
                return
            except CacheUnusable as error:
                self._give_up(error)
            if self._usable:
                return
        try:
            self._memory.refresh(store, vault, keys, on_damaged, struck)
        except IndexTooLarge as error:
            raise IndexTooLarge(
                f"the index of this vault is too large for memory, and {self._why}",
                remedy="give the folder `cache` in the home of this host's workers room on a local disk, and try again",
            ) from error

    def _refresh_disk(self, source: "_Source") -> None:
        disk = self._disk
        if disk.open() and disk.objects() == source.ids() and not disk.begun():
            return
        with disk.exclusive():
            # Listed again: another process may have learnt an object that was not there when we looked.
            there = source.ids()
            # Entries are never changed: a chunk of a struck pack may be in another one as well, which hides behind it.
            if (
                not disk.open()
                or not disk.objects() | disk.begun() <= there
                or not source.struck <= disk.objects()
            ):
                disk.build(there, source.read)
            elif new := there - disk.objects():
                disk.learn(new, source.read)

    def _settle(self) -> None:
        """Keep in memory only what the disk does not know."""
        left = [
            pack
            for pack in self._memory.unindexed()
            if pack.id not in self._struck and not self._disk.knows_pack(pack.id)
        ]
        if [pack.id for pack in self._memory.packs()] != [pack.id for pack in left]:
            self._memory = Index(self._limit)
            for pack in left:
                self._memory.add_pack(pack)

    def _holds(self, chunk_id: bytes) -> bool:
        if not self._struck:
            return self._disk.holds(chunk_id)
        # The tables may be those of a process that did not know yet what is struck.
        found = self._disk.find(chunk_id)
        return found is not None and found.pack not in self._struck

    def _located(self, chunk_id: bytes) -> Location | None:
        found = self._disk.find(chunk_id)
        if found is not None and found.pack in self._struck:
            return None
        if found is None and not self._memory.contains(chunk_id) and not self._disk.is_sound():
            raise CacheDamaged("the cache has lost entries")
        return found

    def _ask(self, question: Callable[[], T]) -> T | None:
        """Put a question to the disk; None without one."""
        if not self._usable:
            return None
        try:
            return question()
        except CacheError as error:
            self._recover(error)
            return self._ask(question)

    def _recover(self, error: CacheError) -> None:
        """Take up the tables that another process made instead, or have them made again, or do without."""
        logger.warning("%s", error)
        self._disk.discard()
        self._usable = False
        if isinstance(error, CacheReplaced) and self._disk.open():
            # Of whatever state of the store: what it lacks is stored again, or looked for again, and no disk is broken.
            self._usable = True
            return
        now = time.monotonic()
        if isinstance(error, CacheUnusable) or now < self._recovered + DISK_AGAIN_S:
            self._give_up(error)
        self._recovered = now
        self._again()

    def _give_up(self, error: RepositoryError) -> None:
        logger.warning("without the cache on disk: %s", error)
        self.close()
        self._why = error.message
        self._not_before = time.monotonic() + DISK_AGAIN_S


class _Source:
    """The index objects in the store, but for struck packs; those that cannot be read are told, or raised.

    The objects that strike packs count among them, by their names: with others, the tables are others.
    """

    def __init__(
        self,
        store: ReadStore,
        vault: VaultId,
        keys: KeyRing,
        on_damaged: OnDamaged | None,
        struck: Struck,
    ) -> None:
        self.struck = frozenset(name.encode() for name in struck.objects)
        self._packs = struck.packs
        self._store = store
        self._vault = vault
        self._keys = keys
        self._on_damaged = on_damaged or fail
        self._listed: frozenset[str] = frozenset()

    def ids(self) -> frozenset[bytes]:
        """Of all that are there."""
        found = []
        self._listed = frozenset(self._store.list(layout.INDEX))
        for name in self._listed:
            try:
                found.append(layout.id_of(name))
            except RepositoryError as error:
                self._on_damaged(name, error)
        return self.struck.union(found)

    def read(self, ids: Iterable[bytes]) -> Iterator[tuple[bytes, list[PackSummary]]]:
        """Their packs; in the place of objects that were replaced since `ids`, those of others that are new."""
        wanted = frozenset(ids)
        for index_id in wanted & self.struck:
            yield index_id, []
        names = frozenset(layout.INDEX + index_id.hex() for index_id in wanted - self.struck)
        read = partial(read_named, self._store, self._vault, self._keys)
        known = self._listed - names
        for name, packs in read_listed(self._store, sorted(names), read, self._on_damaged, known):
            yield layout.id_of(name), [pack for pack in packs if pack.id not in self._packs]
