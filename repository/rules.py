"""What must hold in manifests and snapshots beyond the types of their fields. No input or output here.

A writer refuses to store what breaks a rule and a reader refuses to use it (docs/format.md, "Manifest").
"""

import re
from collections.abc import Sequence

from blake3 import blake3

from repository.chunker import MAX_CHUNK
from repository.errors import ObjectDamaged
from repository.layout import CHUNK_ID
from repository.manifest import WHOLE, Entry, Manifest, ManifestRef, Snapshot

MAX_OFFSET = (1 << 63) - 1
_DIGEST = blake3().digest_size
_ONE = 3
"""Numbers of an extent."""
_LAWFUL = re.compile(rb"(?:/(?:[^./\0]|\.(?!\.?(?:/|\Z)))[^/\0]*+)++\Z|/\Z").match
"""A name after each slash that is not empty, "." or ".."; or the root alone. Asked of every path of a snapshot, so
it looks ahead only at a dot, and takes nothing back."""


def path_key(path: bytes) -> bytes:
    """Sorting by this is path order: a directory before its content, siblings by their bytes."""
    return path.replace(b"/", b"\0")


def check_path(path: bytes) -> None:
    """Refuse a path that is not absolute or has a part that could lead elsewhere.

    Raises:
        ObjectDamaged: not absolute, a trailing slash, NUL, or a part that is empty, "." or "..".
    """
    if _LAWFUL(path) is None:
        raise ObjectDamaged("a path is not absolute, or has a part that could lead elsewhere")


def check_manifest(manifest: Manifest) -> None:
    """Refuse a manifest that breaks a rule.

    Raises:
        ObjectDamaged: saying which.
    """
    # 1. The chunk table is whole.
    lengths = manifest.chunk_lengths
    if len(manifest.chunk_ids) != CHUNK_ID * len(lengths):
        raise ObjectDamaged("the manifest's chunk table is cut short")
    if lengths and not 0 < min(lengths) <= max(lengths) <= MAX_CHUNK:
        raise ObjectDamaged("the manifest names a chunk of an impossible length")
    before, part = b"", -1
    for entry in manifest.entries:
        # 2. Paths are lawful and ascend; the parts of a file ascend.
        check_path(entry.path)
        key = path_key(entry.path)
        if key <= before and (key != before or entry.part_offset <= part):
            raise ObjectDamaged("the manifest's paths are not in order")
        before, part = key, entry.part_offset
        # 3. What has data has all of it, and nothing else has any.
        if entry.kind == "f":
            _check_data(entry, lengths)
        elif entry.extents or entry.ranges or entry.digest or part or entry.part_length != WHOLE:
            raise ObjectDamaged("the manifest has data for what is not a file")


def span(entry: Entry) -> int:
    """Logical bytes of the file, or of its part, that the entry covers, holes included."""
    return entry.size if entry.part_length == WHOLE else entry.part_length


def check_not_empty(manifest: Manifest) -> None:
    """Refuse a manifest that describes nothing.

    Raises:
        ObjectDamaged: it has no entries.
    """
    if not manifest.entries:
        raise ObjectDamaged("a manifest without entries")


def check_ref(manifest: Manifest, ref: ManifestRef) -> None:
    """Refuse a manifest that is not as its reference says.

    Raises:
        ObjectDamaged: other paths, counts or bases.
    """
    if describe(manifest, ref.id, ref.epoch, ref.digest) != ref:
        raise ObjectDamaged("the manifest is not as the snapshot describes it")


def describe(manifest: Manifest, manifest_id: bytes, epoch: int, digest: bytes) -> ManifestRef:
    """The reference to a manifest of at least one entry.

    Raises:
        ObjectDamaged: the manifest is empty.
    """
    check_not_empty(manifest)
    entries = manifest.entries
    dirs = sum(entry.kind == "d" for entry in entries)
    files = sum(entry.kind != "d" and entry.part_offset == 0 for entry in entries)
    size = sum(span(entry) for entry in entries if entry.kind == "f")
    bases = tuple(base.id for base in manifest.bases)
    first, last = entries[0].path, entries[-1].path
    return ManifestRef(manifest_id, epoch, digest, first, last, files, dirs, size, bases)


def check_snapshot(snapshot: Snapshot) -> None:
    """Refuse a snapshot that breaks a rule.

    Raises:
        ObjectDamaged: manifests out of order or overlapping, counts that do not add up, unlawful paths.
    """
    if len(snapshot.parent) not in (0, len(snapshot.id)):
        raise ObjectDamaged("the snapshot's parent is not an id")
    for path in snapshot.paths:
        check_path(path)
    refs = snapshot.manifests
    last = b""
    for ref in refs:
        first_key, last_key = path_key(ref.first), path_key(ref.last)
        # Equal keys are lawful: the parts of one huge file may be in several manifests.
        if not last <= first_key <= last_key:
            raise ObjectDamaged("the snapshot's manifests are not in order")
        last = last_key
    totals = (sum(r.files for r in refs), sum(r.dirs for r in refs), sum(r.bytes for r in refs))
    if totals != (snapshot.files, snapshot.dirs, snapshot.bytes):
        raise ObjectDamaged("the snapshot's counts are not those of its manifests")
    if len({ref.id for ref in refs}) != len(refs):
        raise ObjectDamaged("the snapshot names a manifest twice")


def _check_data(entry: Entry, lengths: Sequence[int]) -> None:
    if len(entry.digest) != _DIGEST:
        raise ObjectDamaged("a file in the manifest has no digest")
    extents = entry.extents
    if len(extents) == _ONE and entry.part_length == WHOLE and not entry.ranges and not entry.part_offset:
        # As nearly all files are: one extent. The rules are those below.
        number, offset, length = extents
        if number < len(lengths) and 0 < length == entry.size and offset + length <= lengths[number]:
            return
    if entry.part_length == WHOLE:
        start, due = 0, entry.size
        if entry.part_offset:
            raise ObjectDamaged("a part of a file in the manifest has no length")
    else:
        start, due = entry.part_offset, entry.part_length
    if entry.ranges:
        due = _check_ranges(entry.ranges, start, start + due)
    if len(extents) % _ONE:
        raise ObjectDamaged("an extent in the manifest is cut short")
    total = 0
    for at in range(0, len(extents), _ONE):
        number, offset, length = extents[at : at + _ONE]
        if number >= len(lengths) or not length or offset + length > lengths[number]:
            raise ObjectDamaged("an extent in the manifest is outside its chunk")
        total += length
    if total != due:
        raise ObjectDamaged(f"a file in the manifest has {total} bytes of data where {due} are due")


def _check_ranges(ranges: list[tuple[int, int]], at: int, stop: int) -> int:
    """The data bytes of a sparse file; (offset, 0) alone means that all of it is a hole."""
    total = 0
    for offset, length in ranges:
        if offset < at or offset + length > min(stop, MAX_OFFSET) or (not length and len(ranges) > 1):
            raise ObjectDamaged("the ranges of a sparse file are out of order")
        at = offset + length
        total += length
    return total
