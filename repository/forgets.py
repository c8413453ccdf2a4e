"""What `forget` leaves in a bucket: records of the snapshots that it removes, sealed under the vault's key.

In a bucket with versions, removing a snapshot hides it behind a delete marker, as an attacker would. A record is
written before the markers that it answers for, and answers for no others: a snapshot that was forgotten, brought back
and hidden again later was not hidden by `forget`. Without its record a forgotten snapshot is taken for a hidden one.
"""

from collections.abc import Callable, Iterator, Sequence
from secrets import token_bytes
from typing import Final, NamedTuple

from crypto.header import Kind
from repository import layout
from repository.access import KeyRing, VaultId
from repository.catalog import is_damage
from repository.errors import FormatError, ObjectDamaged, ObjectMissing, RepositoryError
from repository.manifest import Forgotten
from repository.objects import MAX_FORGOTTEN, any_epoch, open_object, parse, put_struct
from repository.store import PruneStore, ReadStore, WriteStore

AT_ONCE: Final = 100
"""Snapshots that one record names: they are gone soon after its time, and a forget that breaks off names few others."""
ANSWERS_S: Final = 3600.0
"""For markers of how long after its time a record answers."""
SKEW_S: Final = 900.0
"""How far a worker's clock may be ahead of the store's: no further, or S3 refuses its requests."""


class Forget(NamedTuple):
    """A record: its name, its time in seconds since 1970, and the names of the snapshots that were to go."""

    name: str
    time_s: float
    snapshots: frozenset[str]

    def answers_for(self, snapshot: str, hidden_s: float) -> bool:
        """Whether this is what hid a snapshot, at a time by the store's clock."""
        return (
            snapshot in self.snapshots
            and self.time_s - SKEW_S <= hidden_s <= self.time_s + ANSWERS_S + SKEW_S
        )


def write_forget(
    store: WriteStore, vault: VaultId, keys: KeyRing, epoch: int, time_ms: int, snapshots: Sequence[bytes]
) -> None:
    """Say which snapshots are removed next, at most `AT_ONCE` ids.

    Raises:
        StoreError: see `repository.objects`; nothing may be removed then.
    """
    # A name of its own each time: whoever does the same again may remove other snapshots.
    record = token_bytes(layout.ID)
    header = vault.header(Kind.FORGOTTEN, epoch, record)
    body = Forgotten(time_ms, b"".join(sorted(snapshots)))
    put_struct(store, layout.forgotten_name(record), keys.dek(epoch), header, body, MAX_FORGOTTEN)


def forgets(
    store: ReadStore,
    vault: VaultId,
    keys: KeyRing,
    on_damaged: Callable[[str, RepositoryError], None],
) -> Iterator[Forget]:
    """Every record that is there.

    Args:
        on_damaged: told of each that cannot be used; it answers for nothing.

    Raises:
        StoreError: the store does not answer.
        StrongroomError: a key is refused.
    """
    for name in list(store.list(layout.PRUNES)):
        record = layout.forgotten_of(name)
        if record is None:
            continue
        try:
            expected = any_epoch(vault, Kind.FORGOTTEN, record)
            body = open_object(store, name, keys, expected, MAX_FORGOTTEN).body
            said = parse(Forgotten, body, name, MAX_FORGOTTEN)
            yield Forget(name, said.time_ms / 1000, _names(said.snapshots, name))
        except (FormatError, ObjectMissing) as error:
            if is_damage(store, name, error):
                on_damaged(name, error)


def drop_old(store: PruneStore, vault: VaultId, keys: KeyRing, now_s: float, told_for_s: float) -> None:
    """Remove the records of what is told to be hidden no more; those that cannot be read are left to be found.

    Raises:
        StoreError, StrongroomError: as `forgets`.
    """
    for each in list(forgets(store, vault, keys, lambda *_: None)):
        if each.time_s + ANSWERS_S + SKEW_S + told_for_s < now_s:
            store.delete(each.name)


def _names(joined: bytes, name: str) -> frozenset[str]:
    ids = [joined[at : at + layout.ID] for at in range(0, len(joined), layout.ID)]
    if ids != sorted(set(ids)) or len(joined) % layout.ID:
        raise ObjectDamaged(
            f"{name}: its ids are not in order", remedy="see docs/format.md, Records of a forget"
        )
    return frozenset(map(layout.snapshot_name, ids))
