"""What of a repository its snapshots need: the names of all objects without which one of them cannot be restored."""

from collections.abc import Callable
from typing import NamedTuple

from repository import layout
from repository.access import KeyRing, VaultId
from repository.catalog import read_manifest, read_snapshots
from repository.errors import FormatError, ObjectMissing, RepositoryError
from repository.index import Index
from repository.manifest import Manifest, ManifestRef
from repository.patch import used_chunks
from repository.store import ReadStore


class Needed(NamedTuple):
    """Names in the order of the layout, and whether they are certain.

    Attributes:
        names: of objects that were there when they were listed.
        unreadable: objects that could not be read. What they refer to is not known, so everything is needed then.
    """

    names: list[str]
    unreadable: list[str]


def needed(
    store: ReadStore, vault: VaultId, keys: KeyRing, alive: Callable[[], None] = lambda: None
) -> Needed:
    """What the snapshots of a vault need: configuration, keys, index, and their own manifests and packs.

    Args:
        alive: called again and again on the way, which may be long.

    Raises:
        StoreError: the store does not answer.
        StrongroomError: a key that is needed is refused.
    """
    unreadable: list[str] = []

    def on_damaged(name: str, _: RepositoryError) -> None:
        unreadable.append(name)

    index = Index()
    index.refresh(store, vault, keys, on_damaged)
    alive()
    refs = {ref for snapshot in read_snapshots(store, vault, keys, on_damaged) for ref in snapshot.manifests}
    packs: set[str] = set()
    manifests = {layout.manifest_name(each) for ref in refs for each in (ref.id, *ref.bases)}
    for ref in refs:
        packs |= _packs_of(index, _read(store, vault, keys, ref, unreadable), unreadable)
        alive()
    names = [
        layout.CONFIG,
        *store.list(layout.KEYS),
        *store.list(layout.SNAPSHOTS),
        *store.list(layout.INDEX),
    ]
    for prefix, wanted in ((layout.MANIFESTS, manifests), (layout.PACKS, packs)):
        names += [name for name in store.list(prefix) if unreadable or name in wanted]
    return Needed(names, unreadable)


def _read(
    store: ReadStore, vault: VaultId, keys: KeyRing, ref: ManifestRef, unreadable: list[str]
) -> Manifest:
    try:
        return read_manifest(store, vault, keys, ref)
    except (FormatError, ObjectMissing):
        unreadable.append(layout.manifest_name(ref.id))
        return Manifest([], b"", [])


def _packs_of(index: Index, manifest: Manifest, unreadable: list[str]) -> set[str]:
    """Names of the packs with the chunks that a manifest's entries refer to."""
    found: set[str] = set()
    for chunk_id in used_chunks(manifest):
        if index.contains(chunk_id):
            found.add(layout.pack_name(index.locate(chunk_id).pack))
        else:
            unreadable.append(f"chunk {chunk_id.hex()}")
    return found
