"""The structs on disk above the packs: manifests, snapshots, and the objects of a running job.

Each is one canonical MessagePack array (`crypto.canonical`), sealed as one object (`repository.objects`). A
field is only ever added with a new format version; `docs/format.md` has the same tables for people. The rules
that go beyond types are in `repository.rules`, reading and writing in `repository.catalog`.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

FileKind = Literal["f", "d", "l", "p", "c", "b"]
"""Regular file, directory, symbolic link, fifo, character device, block device."""

Count = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Id = Annotated[bytes, Meta(min_length=16, max_length=16)]
SegmentId = Annotated[bytes, Meta(min_length=24, max_length=24)]
Digest = Annotated[bytes, Meta(min_length=32, max_length=32)]
Path = Annotated[bytes, Meta(min_length=1, max_length=64 * 1024)]
Text = Annotated[str, Meta(max_length=64 * 1024)]

WHOLE = -1
"""`part_length` of an entry that covers its whole file."""


class Entry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One path of a snapshot, or one range of a huge file.

    `extents` is flat: chunk number in the manifest's table, offset in that chunk, length; three integers an
    extent, in the order of the file's data. Without `ranges` the data are the whole file (or the whole part);
    with `ranges` they are the listed (offset, length) pieces of it and the rest is a hole. `digest` is BLAKE3
    over the data, empty for what has none.
    """

    path: Path
    kind: FileKind
    size: Count
    stamp: Annotated[bytes, Meta(max_length=256)]
    meta: Annotated[bytes, Meta(max_length=1 << 20)]
    extents: list[Count] = []
    digest: Annotated[bytes, Meta(max_length=32)] = b""
    ranges: list[tuple[Count, Count]] = []
    part_offset: Count = 0
    part_length: Annotated[int, Meta(ge=WHOLE, le=(1 << 63) - 1)] = WHOLE


class BaseRef(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Names the stored manifest that a patch changes. `digest` is BLAKE3 of the stored (sealed) object."""

    id: SegmentId
    epoch: Annotated[int, Meta(ge=1, le=99_999_999)]
    digest: Digest


EntryKey = tuple[Path, Count]
"""Path and part offset: what tells an entry from all others of its manifest."""


class StoredManifest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A manifest as it is stored: whole (`base` is None, nothing is `gone`), or a patch of an older one.

    A patch takes the entries that are `gone` out of its base; its own are new there, or stand for those of the
    same key. Extents of its entries count in its own chunk table.
    """

    base: BaseRef | None
    gone: list[EntryKey]
    entries: list[Entry]
    chunk_ids: bytes
    chunk_lengths: list[Count]


class Manifest(msgspec.Struct, frozen=True):
    """What one segment of a backup holds, in path order. `chunk_ids` is n * 32 bytes for n `chunk_lengths`.

    `bases` are the stored manifests that are needed to read it, beside its own object: newest first, at most
    `repository.patch.MAX_DEPTH`. Chunks of entries that a patch replaced stay in the table, unused.
    """

    entries: list[Entry]
    chunk_ids: bytes
    chunk_lengths: list[Count]
    bases: tuple[BaseRef, ...] = ()


class ManifestRef(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Names one stored manifest so that no other can take its place.

    `digest` is BLAKE3 of the stored (sealed) object. `first` and `last` are the paths it begins and ends
    with. `files` counts a file in the manifest where its first part is; `bytes` are logical sizes of the
    files, by parts. `bases` are the ids of the manifests that it is a patch of, newest first, so that they can be
    fetched along with it.
    """

    id: SegmentId
    epoch: Annotated[int, Meta(ge=1, le=99_999_999)]
    digest: Digest
    first: Path
    last: Path
    files: Count
    dirs: Count
    bytes: Count
    bases: tuple[SegmentId, ...] = ()


class Snapshot(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One completed backup: the only commit point. `parent` is the id of the one compared with, or empty."""

    id: Id
    time_ns: Count
    hostname: Text
    paths: list[Path]
    excludes: list[Text]
    tags: list[Text]
    parent: Annotated[bytes, Meta(max_length=16)]
    manifests: list[ManifestRef]
    files: Count
    dirs: Count
    bytes: Count
    errors: list[tuple[Path, Text]]


class PackSummary(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One stored pack and its table: `records` is n * 45 bytes in offset order (`repository.pack`)."""

    id: Id
    epoch: Annotated[int, Meta(ge=1, le=99_999_999)]
    size: Count
    records: bytes


class IndexBody(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What one index object says."""

    packs: list[PackSummary]


class Doomed(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a prune removes: joined ids of packs (16 bytes) and manifests (24)."""

    time_ms: Count
    packs: bytes
    manifests: bytes


class Marked(Doomed, frozen=True):
    """What a prune may remove; and joined ids (16 bytes) of jobs.

    `jobs` had working objects right before; `older` are prunes of which a mark was there, and whose mark this replaces.
    """

    jobs: bytes
    older: bytes


class Void(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Stands under the name of a snapshot that must not come about any more: its job is over, and has none."""

    time_ms: Count


class VaultConfig(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What must never change in the life of a vault; sizes in bytes."""

    suite_floor: Count
    chunk_min: Count
    chunk_avg: Count
    chunk_max: Count
    created_ms: Count


class WorkItem(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One path that a segment has to describe; a huge file comes in parts."""

    path: Path
    kind: FileKind
    size: Count
    stamp: Annotated[bytes, Meta(max_length=256)]
    part_offset: Count = 0
    part_length: Annotated[int, Meta(ge=WHOLE, le=(1 << 63) - 1)] = WHOLE


class WorkPatch(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The few changes in the range of one manifest of the previous snapshot: all else there is as it was."""

    base: ManifestRef
    items: list[WorkItem]
    gone: list[EntryKey]


class Work(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What one segment has to do, in path order: `items` for one whole manifest, or several `patches`.

    `parents` are the manifests of the previous snapshot that overlap the items: an item whose stamp equals its
    entry's there keeps that entry's extents.
    """

    items: list[WorkItem]
    parents: list[ManifestRef] = []
    epoch: Annotated[int, Meta(ge=1, le=99_999_999)] = 1
    """The epoch to seal in: the one that the work object itself is sealed in."""
    patches: list[WorkPatch] = []


class Plan(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How a job's attempt is cut into segments.

    `kept` are whole manifests of the parent in which nothing changed; they go into the new snapshot as they
    are.
    """

    fence: Annotated[int, Meta(ge=1, le=(1 << 32) - 1)]
    epoch: Annotated[int, Meta(ge=1, le=99_999_999)]
    segments: Annotated[int, Meta(ge=0, le=(1 << 32) - 1)]
    time_ns: Count
    parent: Annotated[bytes, Meta(max_length=16)]
    kept: list[ManifestRef]
    errors: list[tuple[Path, Text]]
    skipped: list[tuple[Path, Text]]


class Stats(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a segment cost; bytes and counts."""

    files_new: Count = 0
    files_kept: Count = 0
    bytes_read: Count = 0
    bytes_stored: Count = 0
    chunks_new: Count = 0
    chunks_reused: Count = 0


class Done(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What one segment has done. `refs` is empty when nothing of the segment was left to describe."""

    refs: list[ManifestRef]
    packs: list[PackSummary]
    errors: list[tuple[Path, Text]]
    skipped: list[tuple[Path, Text]]
    stats: Stats
