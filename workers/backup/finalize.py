"""The end of a backup: when every segment is there, write the index and then the snapshot, which commits it.

Idempotent: two finalizers write the same objects, and the snapshot is created once.
"""

import heapq
import json
import logging
import os

from crypto import notes, report
from repository import layout
from repository.catalog import finished_segments, read_done, read_plan, write_snapshot
from repository.errors import ObjectExists, ObjectMissing
from repository.index import write_indexes
from repository.manifest import Done, ManifestRef, Plan, Snapshot
from repository.rules import path_key
from sources.source import Note
from workers.admission import Stray
from workers.backup.session import BackupSession
from workers.reporting import Reporter, in_letters

logger = logging.getLogger(__name__)

MAX_LEFT_OUT = 50
"""Of what is never backed up, such as sockets, so many are named: the rest is counted."""


def finalize(session: BackupSession, reporter: Reporter) -> None:
    """Commit the job's snapshot if all its segments are done; otherwise do nothing.

    Raises:
        Stray: the job has no plan, not yet or not any more.
        StrongroomError: the repository or a key is not to be had; nothing is committed.
    """
    try:
        plan = read_plan(session.store, session.vault, session.keys, session.job.id)
    except ObjectMissing as error:
        raise Stray("the job has no plan") from error
    session.keys.sealing_epoch = plan.epoch
    finished = finished_segments(session.store, session.job.id, plan.fence)
    if not finished.issuperset(range(plan.segments)):
        logger.info("%d of %d segments are done", len(finished), plan.segments)
        return
    dones = [
        read_done(
            session.store, session.vault, session.keys, layout.segment_id(session.job.id, plan.fence, number)
        )
        for number in range(plan.segments)
    ]
    packs = [pack for done in dones for pack in done.packs]
    if packs:
        write_indexes(
            session.store, session.vault, session.keys, plan.epoch, session.job.id, plan.fence, packs
        )
    snapshot = _snapshot(session, plan, dones)
    try:
        write_snapshot(session.store, session.vault, session.keys, plan.epoch, snapshot)
    except ObjectExists:
        logger.info("the snapshot was committed already")
    reporter.report(report.DONE, outcome=_outcome(snapshot, plan, dones))


def _snapshot(session: BackupSession, plan: Plan, dones: list[Done]) -> Snapshot:
    spec, source = session.spec, session.source()
    new = [done.ref for done in dones if done.ref is not None]
    refs = list(heapq.merge(plan.kept, new, key=_order))
    return Snapshot(
        id=session.job.id,
        time_ns=plan.time_ns,
        hostname=source.host or spec.hostname,
        paths=list(source.roots),
        excludes=list(spec.excludes),
        tags=list(spec.tags),
        parent=plan.parent,
        manifests=refs,
        files=sum(ref.files for ref in refs),
        dirs=sum(ref.dirs for ref in refs),
        bytes=sum(ref.bytes for ref in refs),
        errors=_errors(plan, dones),
    )


def _order(ref: ManifestRef) -> tuple[bytes, bytes]:
    # The parts of one huge file may be spread over manifests: the one that ends with it comes first.
    return path_key(ref.first), path_key(ref.last)


def _errors(plan: Plan, dones: list[Done]) -> list[Note]:
    return [*plan.errors, *(error for done in dones for error in done.errors)]


def _outcome(snapshot: Snapshot, plan: Plan, dones: list[Done]) -> notes.Outcome:
    """The numbers of this job: files and bytes of the whole snapshot, the rest of what was done for it now."""
    stats = [done.stats for done in dones]
    errors = _errors(plan, dones)
    skipped = [*plan.skipped, *(each for done in dones for each in done.skipped)]
    result = {
        "snapshot": snapshot.id.hex(),
        "files": snapshot.files,
        "dirs": snapshot.dirs,
        "bytes": snapshot.bytes,
        "files_new": sum(s.files_new for s in stats),
        "bytes_read": sum(s.bytes_read for s in stats),
        "bytes_stored": sum(s.bytes_stored for s in stats),
        "chunks_new": sum(s.chunks_new for s in stats),
        "chunks_reused": sum(s.chunks_reused for s in stats),
        "segments": plan.segments,
        "skipped": len(skipped),
        "left_out": [{"path": os.fsdecode(path), "why": why} for path, why in skipped[:MAX_LEFT_OUT]],
        "errors": len(errors),
    }
    return notes.Outcome(json.dumps(result).encode(), next(in_letters(errors)))
