"""What prunes leave in a repository: marks, sweeps, and voids in the place of snapshots that must not come about.

A *mark* names what nothing needed when a prune looked; nothing is removed yet, and whoever stores relies on none of it
from then on. A *sweep* names what is being removed, and stays for a while: an index object that a worker of an ended
job writes too late may name such a pack, and must not be believed. docs/architecture.md says why that is enough.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from crypto.header import Header, Kind
from repository import layout
from repository.access import KeyRing, VaultId
from repository.errors import ObjectDamaged, ObjectExists, ObjectMissing, StoreUnreachable
from repository.manifest import Doomed, Void
from repository.objects import MAX_PRUNE, MAX_VOID, any_epoch, open_object, parse, put_struct
from repository.store import ReadStore, WriteStore

MOST_PACKS: Final = 2_000_000
MOST_MANIFESTS: Final = 1_000_000
"""One prune names no more; the next one finds the rest."""
_LOOKS: Final = 8


class Names(NamedTuple):
    """Packs and manifests by their ids."""

    packs: frozenset[bytes]
    manifests: frozenset[bytes]


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
    store: WriteStore, vault: VaultId, keys: KeyRing, epoch: int, prune: bytes, time_ms: int, names: Names
) -> None:
    """Say what a prune may remove; once, whatever an attempt of it that comes late has found.

    Raises:
        ObjectExists: another attempt has said so.
        StoreError: see `repository.objects`.
    """
    header = vault.header(Kind.MARK, epoch, prune)
    _write(store, layout.mark_name(prune), keys, header, time_ms, names)


def write_sweep(
    store: WriteStore, vault: VaultId, keys: KeyRing, epoch: int, prune: bytes, time_ms: int, names: Names
) -> None:
    """Say what a prune is about to remove; nothing of it is removed before.

    Raises:
        ObjectExists: another attempt has said so.
        StoreError: see `repository.objects`.
    """
    header = vault.header(Kind.SWEEP, epoch, prune)
    _write(store, layout.sweep_name(prune), keys, header, time_ms, names)


def read_mark(store: ReadStore, vault: VaultId, keys: KeyRing, prune: bytes) -> Names:
    """What a prune may remove.

    Raises:
        ObjectMissing, StoreError: from the store.
        UnknownFormat, VaultMismatch, WrongObject, ObjectDamaged: it is not to be trusted.
    """
    return _read(store, vault, keys, layout.mark_name(prune))[1]


def read_sweep(store: ReadStore, vault: VaultId, keys: KeyRing, prune: bytes) -> Names:
    """What a prune removes.

    Raises:
        ObjectMissing, StoreError: from the store.
        UnknownFormat, VaultMismatch, WrongObject, ObjectDamaged: it is not to be trusted.
    """
    return _read(store, vault, keys, layout.sweep_name(prune))[1]


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
            yield name, *_read(store, vault, keys, name)


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
            found = [_read(store, vault, keys, name)[1] for name in wanted]
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
    name = layout.snapshot_name(snapshot)
    body = open_object(store, name, keys, any_epoch(vault, Kind.VOID, snapshot), MAX_VOID).body
    return parse(Void, body, name, MAX_VOID)


def _write(store: WriteStore, name: str, keys: KeyRing, header: Header, time_ms: int, names: Names) -> None:
    body = Doomed(time_ms, _joined(names.packs), _joined(names.manifests))
    put_struct(store, name, keys.dek(header.epoch), header, body, MAX_PRUNE)


def _read(store: ReadStore, vault: VaultId, keys: KeyRing, name: str) -> tuple[int, Names]:
    prune, is_sweep = layout.prune_of(name)
    expected = any_epoch(vault, Kind.SWEEP if is_sweep else Kind.MARK, prune)
    doomed = parse(Doomed, open_object(store, name, keys, expected, MAX_PRUNE).body, name, MAX_PRUNE)
    packs = _split(doomed.packs, layout.ID, name)
    return doomed.time_ms, Names(packs, _split(doomed.manifests, layout.SEGMENT_ID, name))


def _joined(ids: Iterable[bytes]) -> bytes:
    return b"".join(sorted(ids))


def _split(joined: bytes, width: int, name: str) -> frozenset[bytes]:
    ids = [joined[at : at + width] for at in range(0, len(joined), width)]
    if ids != sorted(set(ids)) or len(joined) % width:
        raise ObjectDamaged(f"{name}: its ids are not in order", remedy="see docs/format.md, Prunes")
    return frozenset(ids)
