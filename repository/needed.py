"""What of a repository its snapshots need: the names of all objects without which one of them cannot be restored."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from repository import layout
from repository.cache.scratch import scratch
from repository.census import IN_MEMORY, USED, Census
from repository.errors import RepositoryError
from repository.hidden import TOLD_FOR_S, Hidden, hidden_snapshots
from repository.manifest import ManifestRef
from repository.store import ReadStore
from repository.usage import Keyed, NotedKeys, Subject, enter_uses, indexed_packs, snapshots
from repository.vault import FIRST_EPOCH
from repository.walk import Walk, joined


class Needed(NamedTuple):
    """Names in the order of the layout, and whether they are certain.

    Attributes:
        names: of what is needed, whether it is there or not; listed as they are taken.
        unreadable: how many objects could not be read. What they refer to is not known, so everything is needed then.
        hidden: snapshots that cannot be seen. If one is newer than all others, everything is needed as well.
    """

    names: Iterator[str]
    unreadable: int
    hidden: Hidden


@contextmanager
def needed(
    subject: Subject,
    folder: Path,
    walk: Walk,
    in_memory: int = IN_MEMORY,
    told_for_s: float = TOLD_FOR_S,
) -> Iterator[Needed]:
    """What the snapshots of a vault need: configuration, keys, index, and their own manifests and packs.

    A chunk that is in several packs needs them all: a restore tries one after the other.

    Args:
        folder: where room may be taken on a local disk while the block runs.
        walk: told how far it is, but for the names.
        in_memory: bytes to compare before the disk is used.
        told_for_s: see `hidden_snapshots`.

    Raises:
        StoreError: the store does not answer.
        CacheUnusable: the vault is too large to be looked at in memory, and there is no disk.
        StrongroomError: a key that is needed is refused.
    """
    unreadable = 0

    def on_damaged(_: str, __: RepositoryError) -> None:
        nonlocal unreadable
        unreadable += 1

    def on_lost(_: int, __: ManifestRef, ___: RepositoryError) -> None:
        nonlocal unreadable
        unreadable += 1

    store, keys = subject.store, NotedKeys(subject.keys)
    subject = subject._replace(keys=keys)
    with scratch(folder) as room, Census(room, walk, in_memory) as census:
        # Snapshots first: what those of them need was there before they were.
        hidden = hidden_snapshots(subject, told_for_s)
        committed = list(store.list(layout.SNAPSHOTS))
        objects = list(store.list(layout.INDEX))
        walk.expect(len(committed) + len(objects))
        for _, packs in indexed_packs(subject, objects, walk, on_damaged):
            for summary in packs:
                census.add_places(census.add_pack(summary), summary.records, {})
        enter_uses(subject, snapshots(subject, committed, on_damaged), census, walk, Keyed().key_of, on_lost)
        unreadable += _mark_used(census)
        epochs = {FIRST_EPOCH} | keys.epochs | census.packs.epochs
        everything = unreadable > 0 or bool(hidden.newest)
        yield Needed(_names(store, census, epochs, everything=everything), unreadable, hidden)


def _mark_used(census: Census) -> int:
    """Mark the packs whose chunks are used; how many chunks are used that none is known to hold."""
    homeless = 0
    marks = census.packs.marks
    for chunk in census.chunks():
        if next(chunk.uses, None) is not None:
            homeless += not chunk.places
            for number, _, _ in chunk.places:
                marks[number] |= USED
    return homeless


def _names(store: ReadStore, census: Census, epochs: set[int], *, everything: bool) -> Iterator[str]:
    marks = census.packs.marks
    used = (
        layout.pack_name(pack_id)
        for pack_id, numbers in census.sorted_packs()
        if any(marks[number] & USED for number in numbers)
    )
    manifests = map(layout.manifest_name, census.sorted_manifests())
    yield layout.CONFIG
    # What is required counts, and not only what is listed: a name that somebody hid must be missed.
    keys = [layout.CHUNK_ID_KEY, *map(layout.dek_name, sorted(epochs))]
    yield from joined(store.list(layout.KEYS), keys)
    yield from chain(store.list(layout.SNAPSHOTS), store.list(layout.INDEX))
    for prefix, wanted in ((layout.MANIFESTS, manifests), (layout.PACKS, used)):
        yield from joined(store.list(prefix), wanted) if everything else wanted
