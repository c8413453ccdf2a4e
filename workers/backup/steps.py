"""The steps of the backup role as plain functions of an admitted job; `tasks.py` wakes them."""

import secrets
from contextlib import suppress

from config.errors import StrongroomError
from crypto import notes, report
from crypto.keyrecord import CHUNK_ID, DEK
from crypto.ticket import INIT
from repository import layout
from repository.access import VaultId
from repository.catalog import (
    finished_segments,
    manifests_ahead,
    read_manifest,
    read_plan,
    read_work,
    write_done,
    write_manifest,
    write_patch,
)
from repository.errors import FormatError, InvalidName, ObjectExists, ObjectMissing
from repository.manifest import Done, Manifest, ManifestRef, WorkPatch
from repository.vault import FIRST_EPOCH, new_config, read_vault_header, require_create_once, write_config
from workers.admission import Stray
from workers.backup.cut import span, things
from workers.backup.segment import Outcome, PatchOrder, SegmentWriter
from workers.backup.session import BackupSession, log_damaged
from workers.process import now_ms
from workers.reporting import Reporter


class BaseLost(StrongroomError):
    """A manifest that a segment has to change cannot be read any more: the job must not commit."""


def init_vault(session: BackupSession, reporter: Reporter) -> None:
    """Make a vault's first objects: the chunk-id key, the DEK of epoch 1, and the configuration, which commits it.

    A second delivery finds the vault there, and makes nothing. The outcome says whether this one made it.

    Raises:
        ObjectExists: there is another vault in this repository already.
        StoreUnsupported: the store overwrites objects; nothing was committed.
        KeyRefused, KeyBrokerSilent, StoreError: nothing was committed.
    """
    made = not _is_made(session)
    if made:
        _make_vault(session)
    reporter.report(report.DONE, outcome=notes.Outcome(b'{"made":true}' if made else b'{"made":false}', ()))


def _is_made(session: BackupSession) -> bool:
    try:
        header = read_vault_header(session.store)
    except ObjectMissing:
        return False
    if VaultId(header.tenant, header.vault) != session.vault:
        raise ObjectExists(
            "there is another vault in this repository", remedy="choose another folder, or attach that vault"
        )
    return True


def _make_vault(session: BackupSession) -> None:
    session.keys.create(session.store, CHUNK_ID, 0, INIT)
    require_create_once(session.store, layout.CHUNK_ID_KEY)
    dek = session.keys.create(session.store, DEK, FIRST_EPOCH, INIT)
    write_config(session.store, session.vault, dek, new_config(now_ms()))


def run_segment(session: BackupSession, reporter: Reporter, fence: int, number: int) -> None:
    """Do one segment of an attempt, unless it is done.

    The scheduler counts the segments of an attempt and wakes the last step. Of a plan that an earlier attempt left it
    does not know what was done, so whoever does a segment of that looks itself.

    Raises:
        Stray: there is no such segment; the message was not from a plan, or comes after the job's end.
        BaseLost: a manifest to change cannot be read any more; the job cannot go on.
        StrongroomError: the repository or a key is not to be had; the segment is not done.
    """
    try:
        segment = layout.segment_id(session.job.id, fence, number)
    except InvalidName as error:
        raise Stray("there can be no such segment") from error
    if not session.holds(layout.done_name(session.job.id, fence, number)):
        _describe(session, reporter, segment, number)
    reporter.report(report.SEGMENT, segment=number)
    if fence != session.job.ticket.fence and _complete(session, fence):
        reporter.report(report.READY)


def _describe(session: BackupSession, reporter: Reporter, segment: bytes, number: int) -> None:
    try:
        work = read_work(session.store, session.vault, session.keys, segment)
    except ObjectMissing as error:
        raise Stray("there is no such segment") from error
    epoch = work.epoch
    index = session.index()
    stream = session.stream(epoch, index)
    orders = _orders(session, work.patches)
    with session.source().reader() as source:
        writer = SegmentWriter(
            stream,
            source,
            index,
            [order.base for order in orders] or _parents(session, work.parents),
            lambda files, done: reporter.progress(number, files, done),
            session.files(),
        )
        found = writer.describe_patches(orders) if orders else writer.describe(work.items)
    session.keys.charge(epoch, stream.chunks_new, stream.bytes_stored)
    refs = _store_manifests(session, epoch, segment, orders, found)
    done = Done(refs, stream.stored, found.errors, found.skipped, found.stats)
    # Another delivery of this segment may have been faster: then its result stands, and ours is garbage.
    with suppress(ObjectExists):
        write_done(session.store, session.vault, session.keys, epoch, segment, done)
    items = work.items + [item for patch in work.patches for item in patch.items]
    reporter.note(notes.Progress(number, things(items), sum(map(span, items))))


def _parents(session: BackupSession, refs: list[ManifestRef]) -> list[Manifest]:
    found = []
    for ref in refs:
        try:
            found.append(read_manifest(session.store, session.vault, session.keys, ref))
        except (FormatError, ObjectMissing) as error:
            log_damaged("a manifest of the parent", error)
    return found


def _orders(session: BackupSession, patches: list[WorkPatch]) -> list[PatchOrder]:
    """The patches with their bases. Without a base nobody knows what else was in its range: a later plan reads that."""
    with manifests_ahead(session.store, [patch.base for patch in patches]) as store:
        try:
            return [
                PatchOrder(patch, read_manifest(store, session.vault, session.keys, patch.base))
                for patch in patches
            ]
        except (FormatError, ObjectMissing) as error:
            log_damaged("a manifest of the parent", error)
            raise BaseLost(
                "a manifest of the last backup was damaged or removed while this backup went on",
                remedy="back up again: what that manifest described is then read anew",
            ) from error


def _store_manifests(
    session: BackupSession, epoch: int, segment: bytes, orders: list[PatchOrder], found: Outcome
) -> list[ManifestRef]:
    store, vault, keys = session.store, session.vault, session.keys
    if found.manifest is not None:
        return [write_manifest(store, vault, keys, epoch, _manifest_id(segment), found.manifest)]
    return [
        order.work.base
        if patch is None
        else write_patch(store, vault, keys, epoch, _manifest_id(segment), order.base, patch)
        for order, patch in zip(orders, found.patches, strict=True)
    ]


def _manifest_id(segment: bytes) -> bytes:
    job, fence, _ = layout.parts_of(segment)
    # A second delivery has packs of its own, so it needs a manifest of its own: hence a random number.
    return layout.segment_id(job, fence, secrets.randbits(32))


def _complete(session: BackupSession, fence: int) -> bool:
    """Whether the attempt that counts is this one, and all of its segments are done."""
    try:
        plan = read_plan(session.store, session.vault, session.keys, session.job.id)
    except ObjectMissing:
        return False
    return plan.fence == fence and finished_segments(session.store, session.job.id, fence).issuperset(
        range(plan.segments)
    )
