"""The steps of a prune on a repository: what to free, moving what is used out of packs that are mostly not, removing.

Who may call which when, so that nothing goes that a running job relies on, is in docs/architecture.md, "Pruning".
"""

import secrets
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from repository import layout
from repository.access import KeyRing, VaultId
from repository.errors import ObjectMissing
from repository.fetch import Fetched, Fetcher
from repository.index import read_index, write_indexes
from repository.manifest import PackSummary
from repository.pack import PackWriter
from repository.prunes import MOST_MANIFESTS, MOST_PACKS, Names
from repository.store import PruneStore, WriteStore
from repository.survey import PackUse, Usage

REPACK_MOST: Final = 32 << 30
"""Bytes that one prune moves; the next one goes on."""


class Decision(NamedTuple):
    """What a prune marks, and what it moves before.

    Attributes:
        packs: that nothing uses.
        manifests: likewise.
        repack: packs of which too little is used.
    """

    packs: frozenset[bytes]
    manifests: frozenset[bytes]
    repack: tuple[PackUse, ...]


class Repacked(NamedTuple):
    """What moving came to: packs that nothing uses now, the new ones, and chunks that could not be moved."""

    emptied: frozenset[bytes]
    written: list[PackSummary]
    damaged: int


def decide(usage: Usage, max_unused: float, running: frozenset[bytes]) -> Decision:
    """Choose what to free. Pure.

    Args:
        usage: of the repository.
        max_unused: the share of the bytes of chunks that may stay unused, in packs of which some are used; 0 to 1.
        running: ids of the jobs that may be storing. Their manifests are left alone, and so is every pack that no
            index object names. That spares them being marked in vain; what keeps them safe is the sweep.
    """
    # An index object that names a pack which is lost would have backups rely on it.
    doomed = set(usage.missing)
    partial: list[PackUse] = []
    used = 0
    for pack in usage.packs():
        used += pack.used
        if not pack.used:
            doomed.add(pack.id)
        elif pack.used < pack.total:
            partial.append(pack)
    if not running:
        doomed.update(usage.orphans())
    manifests = {
        each for each in usage.stored_manifests - usage.manifests if layout.parts_of(each)[0] not in running
    }
    partial.sort(key=lambda pack: pack.used / pack.total)
    unused = sum(pack.total - pack.used for pack in partial)
    repack: list[PackUse] = []
    moved = 0
    for pack in partial:
        if unused <= max_unused * (used + unused) or moved + pack.used > REPACK_MOST:
            break
        repack.append(pack)
        moved += pack.used
        unused -= pack.total - pack.used
    most_packs = max(0, MOST_PACKS - len(repack))
    return Decision(
        frozenset(sorted(doomed)[:most_packs]), frozenset(sorted(manifests)[:MOST_MANIFESTS]), tuple(repack)
    )


def repack(
    store: WriteStore,
    fetcher: Fetcher,
    writer: PackWriter,
    usage: Usage,
    packs: tuple[PackUse, ...],
    moved: Callable[[int, int], None],
) -> Repacked:
    """Seal what is used of some packs again, into new ones, which no index object names yet.

    A pack of which a chunk does not open, or is not where its table says, is left as it is.

    Args:
        store: where the new packs go.
        fetcher: of the repository.
        writer: of new packs, empty.
        usage: knows what is used.
        packs: to move.
        moved: told the chunks and bytes of each pack that was moved.

    Raises:
        StoreError, StrongroomError: the store or a key is not to be had; what was written is of no use yet.
    """
    emptied: set[bytes] = set()
    written: list[PackSummary] = []
    damaged = 0

    def flush() -> None:
        summary = writer.flush(store)
        if summary is not None:
            written.append(summary)

    for pack, found in usage.moves(packs):
        chunks = size = 0
        whole = found is not None
        for got in fetcher.fetch_at(found or ()):
            if not isinstance(got, Fetched):
                damaged += 1
                whole = False
                continue
            size += writer.add(got.chunk_id, got.payload, got.raw_len, got.codec)
            chunks += 1
            if writer.full:
                flush()
        if whole:
            emptied.add(pack.id)
        moved(chunks, size)
    flush()
    return Repacked(frozenset(emptied), written, damaged)


def leave_out(
    store: PruneStore,
    vault: VaultId,
    keys: KeyRing,
    epoch: int,
    job: bytes,
    gone: frozenset[bytes],
    alive: Callable[[], None],
) -> int:
    """Replace the index objects that name packs which are going by others that do not; returns how many were.

    The others are written before, under names of this call's own, so that two of them side by side lose nothing: each
    removes only what it has copied itself.

    Raises:
        StoreError, FormatError: an index object cannot be read, or the store failed; nothing was lost.
    """
    old: list[str] = []

    def staying() -> Iterator[PackSummary]:
        for name in list(store.list(layout.INDEX)):
            try:
                packs = read_index(store, vault, keys, layout.id_of(name))
            except ObjectMissing:
                continue
            alive()
            if any(pack.id in gone for pack in packs):
                old.append(name)
                yield from (pack for pack in packs if pack.id not in gone)

    write_indexes(store, vault, keys, epoch, job, 1 + secrets.randbits(31), staying())
    for name in old:
        alive()
        store.delete(name)
    return len(old)


def remove(store: PruneStore, names: Names, alive: Callable[[], None]) -> None:
    """Remove packs and manifests; those that are gone already are no error.

    Raises:
        StoreError: the store failed; the rest is there still.
    """
    for name in sorted(map(layout.pack_name, names.packs)) + sorted(
        map(layout.manifest_name, names.manifests)
    ):
        alive()
        store.delete(name)
