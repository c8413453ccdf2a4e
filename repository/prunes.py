"""What prunes leave in a repository: marks, sweeps, and voids in the place of snapshots that must not come about.

A *mark* names what nothing needed when a prune looked; nothing is removed yet, and whoever stores relies on none of it
from then on. A *sweep* names what is being removed, and stays for a while: an index object that a worker of an ended
job writes too late may name such a pack, and must not be believed. docs/architecture.md says why that is enough.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple, TypeVar

from crypto.header import Kind
from repository import layout
from repository.access import KeyRing, VaultId
from repository.errors import (
    FormatError,
    ObjectDamaged,
    ObjectExists,
    ObjectMissing,
    RepositoryError,
    StoreUnreachable,
)
from repository.manifest import Doomed, Marked, Void
from repository.objects import (
    MAX_PRUNE,
    MAX_VOID,
    any_epoch,
    open_data,
    open_object,
    parse,
    put_struct,
    stored_limit,
)
from repository.store import ReadStore, WriteStore

MOST_PACKS: Final = 2_000_000
MOST_MANIFESTS: Final = 1_000_000
"""One prune names no more; the next one finds the rest."""
_LOOKS: Final = 8

D = TypeVar("D", bound=Doomed)


class Names(NamedTuple):
    """Packs and manifests by their ids."""

    packs: frozenset[bytes]
    manifests: frozenset[bytes]


NOTHING: Final = Names(frozenset(), frozenset())


class Mark(NamedTuple):
    """What a prune may remove.

    Attributes:
        names: of that.
        jobs: those that may have relied on it before: they had working objects.
        older: prunes that had marked before and came to nothing; what their marks name and nobody needs is in `names`.
    """

    names: Names
    jobs: frozenset[bytes]
    older: frozenset[bytes]


class Struck(NamedTuple):
    """What must not be relied on.

    Attributes:
        objects: the names of the marks and sweeps that say so.
        packs: ids.
        manifests: ids.
    """

    objects: frozenset[str] = frozenset()
    packs: frozenset[bytes] = frozenset()
    manifests: frozenset[bytes] = frozenset()


NOTHING_STRUCK: Final = Struck()


def write_mark(
    store: WriteStore,
    vault: VaultId,
    keys: KeyRing,
    epoch: int,
    prune: bytes,
    time_ms: int,
    names: Names,
    *,
    older: Iterable[bytes] = (),
) -> None:
    """Say what a prune may remove, and who was at work then; once, whatever an attempt that comes late has found.

    Raises:
        ObjectExists: another attempt has said so.
        StoreError: see `repository.objects`.
    """
    # Listed before the mark is there: a job that begins later looks at it, and must not be called off.
    jobs = {job for job in map(layout.job_of, store.list(layout.JOBS)) if job is not None}
    body = Marked(time_ms, _joined(names.packs), _joined(names.manifests), _joined(jobs), _joined(older))
    header = vault.header(Kind.MARK, epoch, prune)
    put_struct(store, layout.mark_name(prune), keys.dek(epoch), header, body, MAX_PRUNE)


def write_sweep(
    store: WriteStore, vault: VaultId, keys: KeyRing, epoch: int, prune: bytes, time_ms: int, names: Names
) -> None:
    """Say what a prune is about to remove; nothing of it is removed before.

    Raises:
        ObjectExists: another attempt has said so.
        StoreError: see `repository.objects`.
    """
    header = vault.header(Kind.SWEEP, epoch, prune)
    body = Doomed(time_ms, _joined(names.packs), _joined(names.manifests))
    put_struct(store, layout.sweep_name(prune), keys.dek(epoch), header, body, MAX_PRUNE)


def read_mark(store: ReadStore, vault: VaultId, keys: KeyRing, prune: bytes) -> Mark:
    """What a prune may remove, and who was at work when that was found.

    Raises:
        ObjectMissing, StoreError: from the store.
        UnknownFormat, VaultMismatch, WrongObject, ObjectDamaged: it is not to be trusted.
    """
    name = layout.mark_name(prune)
    marked = _open(Marked, store, vault, keys, name)
    jobs, older = (_split(ids, layout.ID, name) for ids in (marked.jobs, marked.older))
    return Mark(_names(marked, name), jobs, older)


def read_sweep(store: ReadStore, vault: VaultId, keys: KeyRing, prune: bytes) -> Names:
    """What a prune removes.

    Raises:
        ObjectMissing, StoreError: from the store.
        UnknownFormat, VaultMismatch, WrongObject, ObjectDamaged: it is not to be trusted.
    """
    name = layout.sweep_name(prune)
    return _names(_open(Doomed, store, vault, keys, name), name)


def listed(store: ReadStore) -> list[str]:
    """Names of all marks and sweeps. What `forget` leaves beside them says nothing about packs.

    Raises:
        StoreError: the listing failed.
    """
    return [name for name in store.list(layout.PRUNES) if layout.forgotten_of(name) is None]


def sweeps(store: ReadStore, vault: VaultId, keys: KeyRing) -> Iterator[tuple[str, int, Names]]:
    """Name, time (ms) and content of every sweep that is remembered.

    Raises:
        StoreError, UnknownFormat, VaultMismatch, WrongObject, ObjectDamaged: one of them cannot be used.
    """
    for name in listed(store):
        if layout.prune_of(name)[1]:
            try:
                swept = _open(Doomed, store, vault, keys, name)
            except ObjectMissing:  # removed meanwhile, by another attempt of a prune
                continue
            yield name, swept.time_ms, _names(swept, name)


def swept_packs(
    store: ReadStore, vault: VaultId, keys: KeyRing, on_damaged: Callable[[str, RepositoryError], None]
) -> Iterator[tuple[str, frozenset[bytes]]]:
    """Name and packs of every sweep: those that a restore takes for gone.

    Args:
        on_damaged: told of each that cannot be used; while it is there, nothing can be restored.

    Raises:
        StoreError: the store does not answer.
    """
    for name in listed(store):
        try:
            if layout.prune_of(name)[1]:
                yield name, _names(_open(Doomed, store, vault, keys, name), name).packs
        except (FormatError, ObjectMissing) as error:
            # An old one may have been removed since, by a prune.
            if name in listed(store):
                on_damaged(name, error)


def read_struck(
    store: ReadStore,
    vault: VaultId,
    keys: KeyRing,
    *,
    swept_only: bool = False,
    known: Struck = NOTHING_STRUCK,
) -> Struck:
    """What must not be relied on now.

    Args:
        known: of the last look, at whatever vault: the objects never change, and no two have the same name.
        swept_only: for a reader: what is only marked is there still, and may be all there is.

    Raises:
        StoreError, UnknownFormat, VaultMismatch, WrongObject, ObjectDamaged: one of the objects cannot be used;
            then it is not known, and nothing may be stored.
    """
    for _ in range(_LOOKS):
        wanted = [name for name in listed(store) if layout.prune_of(name)[1] or not swept_only]
        if known.objects == frozenset(wanted):
            return known
        try:
            found = [_names(_open(_kind(name), store, vault, keys, name), name) for name in wanted]
        except ObjectMissing:
            # A mark that is gone since was listed before the sweep that follows it: look again.
            if frozenset(wanted) <= frozenset(listed(store)):
                raise
            continue
        return Struck(
            frozenset(wanted),
            frozenset().union(*(each.packs for each in found)),
            frozenset().union(*(each.manifests for each in found)),
        )
    raise StoreUnreachable("what prunes have marked changes faster than it can be read")


def write_void(
    store: WriteStore, vault: VaultId, keys: KeyRing, epoch: int, snapshot: bytes, time_ms: int
) -> bool:
    """See to it that a snapshot that is not there does not come about; False if it is there, or void already.

    Raises:
        StoreError: see `repository.objects`.
    """
    name = layout.snapshot_name(snapshot)
    header = vault.header(Kind.VOID, epoch, snapshot)
    try:
        put_struct(store, name, keys.dek(epoch), header, Void(time_ms), MAX_VOID)
    except ObjectExists:
        return False
    return True


def read_void(store: ReadStore, vault: VaultId, keys: KeyRing, snapshot: bytes) -> Void:
    """The void in the place of a snapshot.

    Raises:
        ObjectMissing, StoreError, UnknownFormat, VaultMismatch, WrongObject, ObjectDamaged: there is none.
    """
    data = store.get(layout.snapshot_name(snapshot), stored_limit(MAX_VOID))
    return open_void(data, vault, keys, snapshot)


def open_void(data: bytes, vault: VaultId, keys: KeyRing, snapshot: bytes) -> Void:
    """The void that was read in the place of a snapshot.

    Raises:
        UnknownFormat, VaultMismatch, WrongObject, ObjectDamaged: it is none.
    """
    name = layout.snapshot_name(snapshot)
    if len(data) > stored_limit(MAX_VOID):
        raise ObjectDamaged(f"{name}: it is too large for a void")
    body = open_data(data, name, keys, any_epoch(vault, Kind.VOID, snapshot), MAX_VOID).body
    return parse(Void, body, name, MAX_VOID)


def _kind(name: str) -> type[Doomed]:
    return Doomed if layout.prune_of(name)[1] else Marked


def _open(kind: type[D], store: ReadStore, vault: VaultId, keys: KeyRing, name: str) -> D:
    prune, is_sweep = layout.prune_of(name)
    expected = any_epoch(vault, Kind.SWEEP if is_sweep else Kind.MARK, prune)
    body = open_object(store, name, keys, expected, MAX_PRUNE).body
    return parse(kind, body, name, MAX_PRUNE)


def _names(doomed: Doomed, name: str) -> Names:
    return Names(_split(doomed.packs, layout.ID, name), _split(doomed.manifests, layout.SEGMENT_ID, name))


def _joined(ids: Iterable[bytes]) -> bytes:
    return b"".join(sorted(ids))


def _split(joined: bytes, width: int, name: str) -> frozenset[bytes]:
    ids = [joined[at : at + width] for at in range(0, len(joined), width)]
    if ids != sorted(set(ids)) or len(joined) % width:
        raise ObjectDamaged(f"{name}: its ids are not in order", remedy="see docs/format.md, Prunes")
    return frozenset(ids)
