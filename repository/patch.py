"""Patches of manifests: a few entries and the name of an older one in place of a whole one. No input or output here.

docs/format.md, "Manifest". Both sides are in path order, so that a merge costs the patch's entries and some slices of
its base.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

import msgspec

from repository.errors import ObjectDamaged
from repository.manifest import BaseRef, Entry, EntryKey, Manifest, ManifestRef, StoredManifest
from repository.rules import check_manifest, path_key

MAX_DEPTH = 4
"""So many patches are read at most to know one manifest, and then a whole one."""


def entry_key(entry: Entry) -> tuple[bytes, int]:
    """Sorting by this is the order of a manifest."""
    return path_key(entry.path), entry.part_offset


def order_of(key: EntryKey) -> tuple[bytes, int]:
    """`entry_key` of the entry that has this path and part offset."""
    return path_key(key[0]), key[1]


def base_ref(ref: ManifestRef) -> BaseRef:
    """What a patch of that manifest says about it."""
    return BaseRef(ref.id, ref.epoch, ref.digest)


def holds(entries: Sequence[Entry], key: EntryKey) -> bool:
    """Whether one of the entries, which are in order, has this path and part offset."""
    at = bisect_left(entries, order_of(key), key=entry_key)
    return at < len(entries) and (entries[at].path, entries[at].part_offset) == key


def own_part(stored: StoredManifest) -> Manifest:
    """What a stored manifest says by itself, by the rules of a whole one.

    Raises:
        ObjectDamaged: it breaks one.
    """
    if stored.base is None and stored.gone:
        raise ObjectDamaged("a manifest takes entries away and has no base")
    manifest = Manifest(stored.entries, stored.chunk_ids, stored.chunk_lengths)
    check_manifest(manifest)
    return manifest


def merge(base: Manifest, patch: StoredManifest) -> Manifest:
    """The whole manifest that a patch makes of its base; lawful if the base is.

    Args:
        base: lawful; what `patch.base` names. It is left as it is.

    Raises:
        ObjectDamaged: the patch breaks a rule, takes away what its base has not, or is one too many.
    """
    if patch.base is None:
        raise ObjectDamaged("a patch without a base")
    # 1. By itself it is a lawful manifest: a patch must not reach into the chunks of another.
    own = own_part(patch)
    # 2. The chain stays short.
    if len(base.bases) >= MAX_DEPTH:
        raise ObjectDamaged(f"more than {MAX_DEPTH} patches, one on the other")
    shift = len(base.chunk_lengths)
    changes: list[tuple[tuple[bytes, int], Entry | None]] = [(order_of(key), None) for key in patch.gone]
    # 3. What is gone is in order.
    if any(one[0] >= other[0] for one, other in pairwise(changes)):
        raise ObjectDamaged("what a patch takes away is not in order")
    changes += [(entry_key(entry), _shifted(entry, shift)) for entry in own.entries]
    changes.sort(key=_key)
    # 4. What is gone is in the base, and nothing is both gone and there.
    entries: list[Entry] = []
    at, before = 0, None
    for key, entry in changes:
        if key == before:
            raise ObjectDamaged("a patch takes away what it brings")
        before = key
        place = bisect_left(base.entries, key, at, key=entry_key)
        entries += base.entries[at:place]
        found = place < len(base.entries) and entry_key(base.entries[place]) == key
        at = place + found
        if entry is not None:
            entries.append(entry)
        elif not found:
            raise ObjectDamaged("a patch takes away what its base has not")
    entries += base.entries[at:]
    return Manifest(
        entries,
        base.chunk_ids + own.chunk_ids,
        base.chunk_lengths + own.chunk_lengths,
        (patch.base, *base.bases),
    )


def _key(change: tuple[tuple[bytes, int], Entry | None]) -> tuple[bytes, int]:
    return change[0]


def _shifted(entry: Entry, by: int) -> Entry:
    if not entry.extents:
        return entry
    extents = entry.extents.copy()
    extents[::3] = [number + by for number in extents[::3]]
    return msgspec.structs.replace(entry, extents=extents)
