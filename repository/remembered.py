"""Reading many manifests of one vault, each stored object once, although patches share their bases."""

from collections import OrderedDict
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Final

from repository import layout
from repository.access import KeyRing, VaultId
from repository.ahead import read_ahead
from repository.catalog import MANIFESTS_AHEAD, read_manifest
from repository.manifest import BaseRef, Manifest, ManifestRef
from repository.objects import MAX_MANIFEST, stored_limit
from repository.store import ReadStore

_KEPT: Final = 8
"""Manifests in memory: a whole one, four patches on it, and some that branch off; they share most of their entries."""


class ManifestReader:
    """Reads manifests, and remembers the last few with all that they stand on.

    What a patch left as it was are the very same entries in both manifests, so that a comparison can tell them by `is`.
    """

    def __init__(self, store: ReadStore, vault: VaultId, keys: KeyRing) -> None:
        self._store, self._vault, self._keys = store, vault, keys
        self._known: OrderedDict[BaseRef, Manifest] = OrderedDict()

    def read(self, ref: ManifestRef) -> Manifest:
        """See `repository.catalog.read_manifest`."""
        return read_manifest(self._store, self._vault, self._keys, ref, self)

    def recall(self, link: BaseRef) -> Manifest | None:
        """A manifest that was read, by its id and digest."""
        found = self._known.get(link)
        if found is not None:
            self._known.move_to_end(link)
        return found

    def remember(self, link: BaseRef, manifest: Manifest) -> None:
        """Keep a manifest for a while."""
        self._known[link] = manifest
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)


def by_lineage(refs: Iterable[ManifestRef]) -> list[ManifestRef]:
    """Each of them once, in the order in which a `ManifestReader` reads no object twice: after what it stands on."""
    lineages: dict[bytes, dict[bytes, ManifestRef]] = {}
    for ref in refs:
        root = ref.bases[-1] if ref.bases else ref.id
        lineages.setdefault(root, {}).setdefault(ref.digest, ref)
    return [
        ref
        for lineage in lineages.values()
        for ref in sorted(lineage.values(), key=lambda each: len(each.bases))
    ]


def once_ahead(store: ReadStore, refs: Iterable[ManifestRef]) -> AbstractContextManager[ReadStore]:
    """The store, for reading these manifests in about this order with a `ManifestReader`, fetched ahead."""
    names = dict.fromkeys(layout.manifest_name(each) for ref in refs for each in (ref.id, *ref.bases))
    return read_ahead(store, list(names), stored_limit(MAX_MANIFEST), MANIFESTS_AHEAD)
