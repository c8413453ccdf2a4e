"""Reading and writing what is above the packs: manifests, snapshots, and the objects of a running job.

Everything is created once (`ObjectExists` otherwise) and verified when it is read: header, seal, digest where
a trusted object names one, canonical form, and the rules of `repository.rules`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import chain
from typing import Protocol, TypeVar

import msgspec

from crypto.header import Kind
from repository import layout
from repository.access import KeyRing, VaultId
from repository.ahead import read_ahead
from repository.errors import (
    FormatError,
    ObjectDamaged,
    ObjectMissing,
    RepositoryError,
    SnapshotVoid,
    WrongObject,
)
from repository.manifest import (
    BaseRef,
    Done,
    Manifest,
    ManifestRef,
    Plan,
    Snapshot,
    StoredManifest,
    Work,
)
from repository.objects import (
    MAX_DONE,
    MAX_MANIFEST,
    MAX_PLAN,
    MAX_SNAPSHOT,
    MAX_WORK,
    any_epoch,
    open_data,
    open_object,
    parse,
    put_struct,
    stored_limit,
)
from repository.pack import check_summary
from repository.patch import MAX_DEPTH, base_ref, merge, own_part
from repository.prunes import open_void
from repository.rules import check_not_empty, check_path, check_ref, check_snapshot, describe
from repository.store import ReadStore, WriteStore

V = TypeVar("V")
R = TypeVar("R")
MANIFESTS_AHEAD = 6
"""Stored manifests in memory beside the one in use: a MiB each at most, as a rule, and less if they are patches."""


def write_manifest(
    store: WriteStore, vault: VaultId, keys: KeyRing, epoch: int, manifest_id: bytes, manifest: Manifest
) -> ManifestRef:
    """Store a segment's manifest whole; the packs with its chunks are stored already.

    Args:
        manifest_id: from `layout.segment_id`; whoever writes twice needs two.

    Raises:
        ObjectDamaged: the manifest breaks a rule; nothing is written.
        ObjectExists, TooLarge, StoreError: see `repository.objects`.
    """
    check_not_empty(manifest)
    whole = StoredManifest(None, [], manifest.entries, manifest.chunk_ids, manifest.chunk_lengths)
    own_part(whole)
    return _put_manifest(store, vault, keys, epoch, manifest_id, whole, manifest)


def write_patch(
    store: WriteStore,
    vault: VaultId,
    keys: KeyRing,
    epoch: int,
    manifest_id: bytes,
    base: Manifest,
    patch: StoredManifest,
) -> ManifestRef:
    """Store what has changed in a manifest, `base`, which `read_manifest` gave; else as `write_manifest`.

    Raises:
        ObjectDamaged: the patch breaks a rule, or leaves nothing; nothing is written.
        ObjectExists, TooLarge, StoreError: see `repository.objects`.
    """
    merged = merge(base, patch)
    return _put_manifest(store, vault, keys, epoch, manifest_id, patch, merged)


def _put_manifest(
    store: WriteStore,
    vault: VaultId,
    keys: KeyRing,
    epoch: int,
    manifest_id: bytes,
    stored: StoredManifest,
    meant: Manifest,
) -> ManifestRef:
    check_not_empty(meant)
    header = vault.header(Kind.MANIFEST, epoch, manifest_id)
    name = layout.manifest_name(manifest_id)
    digest = put_struct(store, name, keys.dek(epoch), header, stored, MAX_MANIFEST).digest
    return describe(meant, manifest_id, epoch, digest)


class Memory(Protocol):
    """Manifests that were read, and the bases of those."""

    def recall(self, link: BaseRef) -> Manifest | None:
        """The manifest that is the object of this id and digest, if it is remembered."""
        ...

    def remember(self, link: BaseRef, manifest: Manifest) -> None:
        """It was read and found lawful."""
        ...


def read_manifest(
    store: ReadStore, vault: VaultId, keys: KeyRing, ref: ManifestRef, memory: Memory | None = None
) -> Manifest:
    """The manifest that a snapshot (or a Done) refers to, with what it has from its bases.

    Args:
        memory: what is remembered there is not read again, and what is read is remembered.

    Raises:
        ObjectMissing, StoreError: from the store.
        UnknownFormat, VaultMismatch, WrongObject, ObjectDamaged: it, or a base, is not what the reference names.
    """
    link = base_ref(ref)
    patches: list[tuple[str, BaseRef, StoredManifest]] = []
    manifest = memory.recall(link) if memory else None
    chain = manifest_chain(store, vault, keys, ref)
    while manifest is None:
        name, stored = next(chain)
        if stored.base is None:
            manifest = _lawful(name, own_part, stored)
            if memory:
                memory.remember(link, manifest)
        else:
            patches.append((name, link, stored))
            link = stored.base
            manifest = memory.recall(link) if memory else None
    for name, at, patch in reversed(patches):
        manifest = _lawful(name, partial(merge, manifest), patch)
        if memory:
            memory.remember(at, manifest)
    whole = manifest
    _lawful(layout.manifest_name(ref.id), lambda found: check_ref(found, ref), whole)
    return whole


def manifest_chain(
    store: ReadStore, vault: VaultId, keys: KeyRing, ref: ManifestRef
) -> Iterator[tuple[str, StoredManifest]]:
    """Name and content of a stored manifest and of its bases, newest first, down to the whole one.

    Each is what the one before it names; whether they fit together is for `read_manifest` to say.

    Raises:
        ObjectMissing, StoreError, UnknownFormat, VaultMismatch, WrongObject, ObjectDamaged: as `read_manifest`.
    """
    link: BaseRef | None = base_ref(ref)
    for _ in range(MAX_DEPTH + 1):
        if link is None:
            return
        name = layout.manifest_name(link.id)
        expected = vault.header(Kind.MANIFEST, link.epoch, link.id)
        body = open_object(store, name, keys, expected, MAX_MANIFEST, link.digest).body
        stored = parse(StoredManifest, body, name, MAX_MANIFEST)
        yield name, stored
        link = stored.base
    if link is not None:
        name = layout.manifest_name(ref.id)
        raise ObjectDamaged(f"{name}: more than {MAX_DEPTH} patches, one on the other")


def write_snapshot(store: WriteStore, vault: VaultId, keys: KeyRing, epoch: int, snapshot: Snapshot) -> None:
    """Commit a backup: its packs, index and manifests are stored already.

    Raises:
        ObjectDamaged: the snapshot breaks a rule; nothing is written.
        ObjectExists, TooLarge, StoreError: see `repository.objects`.
    """
    check_snapshot(snapshot)
    header = vault.header(Kind.SNAPSHOT, epoch, snapshot.id)
    put_struct(store, layout.snapshot_name(snapshot.id), keys.dek(epoch), header, snapshot, MAX_SNAPSHOT)


def read_snapshot(store: ReadStore, vault: VaultId, keys: KeyRing, snapshot_id: bytes) -> Snapshot:
    """One snapshot, verified.

    Raises:
        ObjectMissing, StoreError: from the store. SnapshotVoid: there is none, and there will be none.
        UnknownFormat, VaultMismatch, WrongObject, ObjectDamaged: it is not to be trusted.
    """
    name = layout.snapshot_name(snapshot_id)
    data = store.get(name, stored_limit(MAX_SNAPSHOT))
    try:
        body = open_data(data, name, keys, any_epoch(vault, Kind.SNAPSHOT, snapshot_id), MAX_SNAPSHOT).body
    except WrongObject:
        if _is_void(data, vault, keys, snapshot_id):
            raise SnapshotVoid(
                f"{name}: its job was over, or unknown to a prune, before it was committed",
                remedy="back up again: what is stored still is used again",
            ) from None
        raise
    snapshot = parse(Snapshot, body, name, MAX_SNAPSHOT)
    if snapshot.id != snapshot_id:
        raise ObjectDamaged(f"{name}: the snapshot calls itself by another id")
    _lawful(name, check_snapshot, snapshot)
    return snapshot


def read_snapshots(
    store: ReadStore,
    vault: VaultId,
    keys: KeyRing,
    on_damaged: Callable[[str, RepositoryError], None],
    on_void: Callable[[bytes], None] = lambda _: None,
) -> list[Snapshot]:
    """All snapshots, oldest first.

    Args:
        on_damaged: told the name and the error of each that cannot be used; the others are still returned.
        on_void: told the id of each that there is none of, nor will be.

    Raises:
        StoreError: the listing failed.
    """
    found = []
    for name in store.list(layout.SNAPSHOTS):
        try:
            found.append(read_snapshot(store, vault, keys, layout.id_of(name)))
        except RepositoryError as error:
            if isinstance(error, SnapshotVoid):
                on_void(layout.id_of(name))
            elif is_damage(store, name, error):
                on_damaged(name, error)
    return sorted(found, key=lambda snapshot: (snapshot.time_ns, snapshot.id))


def _is_void(data: bytes, vault: VaultId, keys: KeyRing, snapshot_id: bytes) -> bool:
    try:
        open_void(data, vault, keys, snapshot_id)
    except FormatError:
        return False
    return True


def is_damage(store: ReadStore, name: str, error: RepositoryError) -> bool:
    """Whether a snapshot that was listed cannot be read: not if it was forgotten since, or is none.

    One whose key is gone is damaged, whatever the error's class says.
    """
    if isinstance(error, SnapshotVoid):
        return False
    return not isinstance(error, ObjectMissing) or _is_there(store, name)


def _is_there(store: ReadStore, name: str) -> bool:
    try:
        store.size(name)
    except ObjectMissing:
        return False
    return True


def write_plan(store: WriteStore, vault: VaultId, keys: KeyRing, job: bytes, plan: Plan) -> None:
    """Store how a job's attempt is cut; its work objects are stored already.

    Raises:
        ObjectExists, TooLarge, StoreError: see `repository.objects`.
    """
    header = vault.header(Kind.PLAN, plan.epoch, job)
    put_struct(store, layout.plan_name(job), keys.dek(plan.epoch), header, plan, MAX_PLAN)


def read_plan(store: ReadStore, vault: VaultId, keys: KeyRing, job: bytes) -> Plan:
    """The job's plan.

    Raises:
        ObjectMissing, StoreError: from the store.
        UnknownFormat, VaultMismatch, WrongObject, ObjectDamaged: it is not to be trusted.
    """
    name = layout.plan_name(job)
    opened = open_object(store, name, keys, any_epoch(vault, Kind.PLAN, job), MAX_PLAN)
    plan = parse(Plan, opened.body, name, MAX_PLAN)
    if plan.epoch != opened.epoch:
        raise ObjectDamaged(f"{name}: the plan is sealed in another epoch than it says")
    return plan


def write_work(
    store: WriteStore, vault: VaultId, keys: KeyRing, epoch: int, segment: bytes, work: Work
) -> None:
    """Store what a segment (`layout.segment_id`) has to do.

    Raises:
        ObjectExists, TooLarge, StoreError: see `repository.objects`.
    """
    work = msgspec.structs.replace(work, epoch=epoch)
    header = vault.header(Kind.WORK, epoch, segment)
    put_struct(store, _segment_name(layout.work_name, segment), keys.dek(epoch), header, work, MAX_WORK)


def read_work(store: ReadStore, vault: VaultId, keys: KeyRing, segment: bytes) -> Work:
    """What a segment has to do.

    Raises:
        ObjectMissing, StoreError: from the store.
        UnknownFormat, VaultMismatch, WrongObject, ObjectDamaged: it is not to be trusted.
    """
    name = _segment_name(layout.work_name, segment)
    opened = open_object(store, name, keys, any_epoch(vault, Kind.WORK, segment), MAX_WORK)
    work = parse(Work, opened.body, name, MAX_WORK)
    if work.epoch != opened.epoch:
        raise ObjectDamaged(f"{name}: the work is sealed in another epoch than it says")
    for item in chain(work.items, *(patch.items for patch in work.patches)):
        _lawful(name, check_path, item.path)
    return work


def write_done(
    store: WriteStore, vault: VaultId, keys: KeyRing, epoch: int, segment: bytes, done: Done
) -> None:
    """Store what a segment has done; its packs and its manifest are stored already. The first one counts.

    Raises:
        ObjectExists: another delivery of the same segment was faster; its result stands.
        TooLarge, StoreError: see `repository.objects`.
    """
    header = vault.header(Kind.DONE, epoch, segment)
    put_struct(store, _segment_name(layout.done_name, segment), keys.dek(epoch), header, done, MAX_DONE)


def read_done(store: ReadStore, vault: VaultId, keys: KeyRing, segment: bytes) -> Done:
    """What a segment has done.

    Raises:
        ObjectMissing: it is not finished.
        StoreError: from the store.
        UnknownFormat, VaultMismatch, WrongObject, ObjectDamaged: it is not to be trusted.
    """
    name = _segment_name(layout.done_name, segment)
    body = open_object(store, name, keys, any_epoch(vault, Kind.DONE, segment), MAX_DONE).body
    done = parse(Done, body, name, MAX_DONE)
    for summary in done.packs:
        _lawful(name, check_summary, summary)
    return done


def read_dones(
    store: ReadStore, vault: VaultId, keys: KeyRing, job: bytes, fence: int, count: int
) -> Iterator[Done]:
    """What each of an attempt's segments has done, from number 0 on; fetched ahead.

    Raises:
        ObjectMissing, StoreError, UnknownFormat, VaultMismatch, WrongObject, ObjectDamaged: as `read_done`.
    """
    names = [layout.done_name(job, fence, number) for number in range(count)]
    with read_ahead(store, names, stored_limit(MAX_DONE)) as ahead:
        for number in range(count):
            yield read_done(ahead, vault, keys, layout.segment_id(job, fence, number))


def manifests_ahead(store: ReadStore, refs: Sequence[ManifestRef]) -> AbstractContextManager[ReadStore]:
    """The store, for reading these manifests in this order, each before its bases: fetched ahead in the block."""
    names = [layout.manifest_name(each) for ref in refs for each in (ref.id, *ref.bases)]
    return read_ahead(store, names, stored_limit(MAX_MANIFEST), MANIFESTS_AHEAD)


def finished_segments(store: ReadStore, job: bytes, fence: int) -> set[int]:
    """Numbers of the segments of an attempt that have a Done; from the listing alone.

    Raises:
        StoreError: the listing failed.
    """
    prefix = layout.done_name(job, fence, 0)[:-1]
    digits = (
        name.removeprefix(prefix) for name in store.list(layout.job_prefix(job)) if name.startswith(prefix)
    )
    return {int(text) for text in digits if text.isascii() and text.isdigit()}


def _segment_name(name: Callable[[bytes, int, int], str], segment: bytes) -> str:
    job, fence, number = layout.parts_of(segment)
    return name(job, fence, number)


def _lawful(name: str, check: Callable[[V], R], value: V) -> R:
    try:
        return check(value)
    except FormatError as error:
        raise ObjectDamaged(f"{name}: {error.message}", remedy="run `strongroom check`") from error
