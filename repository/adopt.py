"""Packs that no index object names, because whoever stored them died: learnt from their own tables."""

from collections.abc import Iterable

from repository import layout
from repository.access import KeyRing, VaultId
from repository.errors import RepositoryError
from repository.index import ChunkIndex, OnDamaged
from repository.manifest import PackSummary
from repository.pack import read_table
from repository.prunes import NOTHING_STRUCK, Struck
from repository.store import ReadStore


def adopt_packs(
    store: ReadStore,
    vault: VaultId,
    keys: KeyRing,
    index: ChunkIndex,
    on_damaged: OnDamaged,
    struck: Struck = NOTHING_STRUCK,
    names: Iterable[str] | None = None,
) -> list[PackSummary]:
    """Learn, from their own tables, the packs that no index object names: what an attempt that died left.

    The index may use them at once; whoever refers to their chunks writes them into its own index objects.

    Args:
        on_damaged: told the name and the error of each pack that cannot be used.
        struck: packs that are going, and are left alone.
        names: the listing of packs; without it, one is made.

    Returns:
        The tables learnt.

    Raises:
        StoreError: the listing failed.
    """
    adopted = []
    for name in store.list(layout.PACKS) if names is None else names:
        try:
            pack_id = layout.id_of(name)
            if pack_id in struck.packs or index.knows_pack(pack_id):
                continue
            summary = read_table(store, vault, keys, pack_id)
        except RepositoryError as error:
            on_damaged(name, error)
            continue
        index.add_pack(summary)
        adopted.append(summary)
    return adopted
