"""What index objects name and what snapshots use, for a census: each index object and each manifest is read once."""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from blake3 import blake3

from crypto import canonical
from crypto.secret import SecretKey
from repository import layout
from repository.access import KeyRing, VaultId
from repository.catalog import is_damage, manifests_ahead, read_manifest, read_snapshot
from repository.census import Census
from repository.errors import FormatError, ObjectMissing, RepositoryError, SnapshotVoid
from repository.index import OnDamaged, read_named
from repository.listed import read_listed
from repository.manifest import Manifest, ManifestRef, PackSummary, Snapshot
from repository.store import ReadStore
from repository.walk import Walk

OnLost = Callable[[int, ManifestRef, RepositoryError], None]
"""Told the key, the reference and the error of a manifest that cannot be read."""


class Subject(NamedTuple):
    """A vault's repository, and the keys to read it."""

    store: ReadStore
    vault: VaultId
    keys: KeyRing


class NotedKeys:
    """A key ring that remembers of which epochs it gave the DEK: those that what was read is sealed in."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys
        self.epochs: set[int] = set()

    def dek(self, epoch: int) -> SecretKey:
        """See KeyRing."""
        key = self._keys.dek(epoch)
        self.epochs.add(epoch)
        return key

    def chunk_id_key(self) -> SecretKey:
        """See KeyRing."""
        return self._keys.chunk_id_key()


class Keyed:
    """Short keys of references to manifests, of this run only: nobody can make two that are alike."""

    def __init__(self) -> None:
        self._key = os.urandom(32)

    def key_of(self, ref: ManifestRef) -> int:
        """Below 2^64."""
        return int.from_bytes(blake3(canonical.encode(ref), key=self._key).digest(8), "big")


def indexed_packs(
    subject: Subject, names: Sequence[str], walk: Walk, on_damaged: OnDamaged
) -> Iterator[tuple[str, list[PackSummary]]]:
    """The names of index objects and their packs, one object in memory at a time; see `repository.listed`.

    Raises:
        StoreError: the store does not answer.
    """

    def tell(name: str, error: RepositoryError) -> None:
        if not isinstance(error, FormatError | ObjectMissing):
            raise error
        on_damaged(name, error)
        walk.did()

    for found in read_listed(subject.store, names, partial(read_named, *subject), tell):
        yield found
        walk.did()


def snapshots(
    subject: Subject,
    names: Sequence[str],
    on_damaged: OnDamaged,
    on_void: Callable[[bytes], None] = lambda _: None,
) -> Iterator[Snapshot]:
    """The snapshots of these names, one in memory at a time.

    Args:
        on_damaged: told the name and the error of each that cannot be used.
        on_void: told the id of each that there is none of, nor will be.

    Raises:
        StoreError: the store does not answer.
    """
    for name in names:
        try:
            found = read_snapshot(*subject, layout.id_of(name))
        except SnapshotVoid:
            on_void(layout.id_of(name))
        except (FormatError, ObjectMissing) as error:
            if is_damage(subject.store, name, error):
                on_damaged(name, error)
        else:
            yield found


def enter_uses(
    subject: Subject,
    found: Iterator[Snapshot],
    census: Census,
    walk: Walk,
    key_of: Callable[[ManifestRef], int],
    on_lost: OnLost,
) -> int:
    """Read every manifest that snapshots refer to, once, and enter what it needs; returns how many snapshots.

    Raises:
        StoreError: the store does not answer.
        CacheUnusable: there is too much for memory, and no disk.
    """
    seen: set[int] = set()
    count = 0
    for snapshot in found:
        count += 1
        walk.did()
        new = {key: ref for ref in snapshot.manifests if (key := key_of(ref)) not in seen}
        seen.update(new)
        walk.expect(len(new))
        with manifests_ahead(subject.store, list(new.values())) as ahead:
            for key, ref in new.items():
                census.add_manifest((ref.id, *ref.bases))
                try:
                    manifest = read_manifest(ahead, subject.vault, subject.keys, ref)
                except (FormatError, ObjectMissing) as error:
                    on_lost(key, ref, error)
                else:
                    census.add_uses(key, _uses(manifest))
                walk.did()
    return count


def chunk_at(manifest: Manifest, number: int) -> bytes:
    """The id of a chunk in a manifest's table."""
    return manifest.chunk_ids[number * layout.CHUNK_ID : (number + 1) * layout.CHUNK_ID]


def _uses(manifest: Manifest) -> Iterator[tuple[bytes, int]]:
    # A patch may leave chunks of its base unused: their loss is not the loss of this manifest.
    for number in {number for entry in manifest.entries for number in entry.extents[::3]}:
        yield chunk_at(manifest, number), manifest.chunk_lengths[number]
