"""The end of a backup: when every segment is there, write the index and then the snapshot, which commits it.

Idempotent: two finalizers write the same objects, and the snapshot is created once.
"""

import heapq
import json
import logging
import os
from collections.abc import Iterable, Iterator

import msgspec

from crypto import notes, report
from crypto.ticket import COMMIT
from repository.catalog import finished_segments, read_dones, read_plan, read_snapshot, write_snapshot
from repository.errors import ObjectExists, ObjectMissing
from repository.index import write_indexes
from repository.manifest import Done, ManifestRef, PackSummary, Plan, Snapshot, Stats
from repository.rules import path_key
from workers.admission import Stray
from workers.backup.session import BackupSession
from workers.reporting import Reporter, in_letters

logger = logging.getLogger(__name__)

MAX_LEFT_OUT = 50
"""Of what is never backed up, such as sockets, so many are named: the rest is counted."""


def finalize(session: BackupSession, reporter: Reporter) -> None:
    """Commit the job's snapshot if all its segments are done; otherwise do nothing.

    Raises:
        Stray: the scheduler has not let this job commit, so that it may yet be cancelled, or was; or the job has no
            plan, not yet or not any more.
        StrongroomError: the repository or a key is not to be had; nothing is committed.
    """
    if COMMIT not in session.job.ticket.operations:
        raise Stray("its ticket is for no commit")
    try:
        plan = read_plan(session.store, session.vault, session.keys, session.job.id)
    except ObjectMissing as error:
        raise Stray("the job has no plan") from error
    session.keys.sealing_epoch = plan.epoch
    finished = finished_segments(session.store, session.job.id, plan.fence)
    if not finished.issuperset(range(plan.segments)):
        logger.info("%d of %d segments are done", len(finished), plan.segments)
        return
    results = _Results(plan)
    packs = results.gather(_dones(session, plan, reporter))
    write_indexes(session.store, session.vault, session.keys, plan.epoch, session.job.id, plan.fence, packs)
    snapshot = _snapshot(session, plan, results)
    try:
        write_snapshot(session.store, session.vault, session.keys, plan.epoch, snapshot)
    except ObjectExists:
        # Or its name was taken away, because the job was over: then nothing is done.
        read_snapshot(session.store, session.vault, session.keys, snapshot.id)
        logger.info("the snapshot was committed already")
    reporter.report(report.DONE, outcome=_outcome(snapshot, plan, results))


def _dones(session: BackupSession, plan: Plan, reporter: Reporter) -> Iterator[Done]:
    job = session.job.id
    for done in read_dones(session.store, session.vault, session.keys, job, plan.fence, plan.segments):
        yield done
        reporter.alive()


class _Results:
    """What the segments of a plan came to. Their packs are passed on and not kept: a large backup has millions."""

    def __init__(self, plan: Plan) -> None:
        self.refs: list[ManifestRef] = []
        self.errors = list(plan.errors)
        self.left_out = plan.skipped[:MAX_LEFT_OUT]
        self.skipped = len(plan.skipped)
        self.stats = Stats()

    def gather(self, dones: Iterable[Done]) -> Iterator[PackSummary]:
        """The packs of all segments; everything else is added up on the way."""
        for done in dones:
            self.refs += done.refs
            self.errors += done.errors
            self.left_out += done.skipped[: MAX_LEFT_OUT - len(self.left_out)]
            self.skipped += len(done.skipped)
            sums = zip(msgspec.structs.astuple(self.stats), msgspec.structs.astuple(done.stats), strict=True)
            self.stats = Stats(*(one + other for one, other in sums))
            yield from done.packs


def _snapshot(session: BackupSession, plan: Plan, results: _Results) -> Snapshot:
    spec, source = session.spec, session.source()
    # Patches come out of order: several ranges with others in between are one segment.
    refs = list(heapq.merge(plan.kept, sorted(results.refs, key=_order), key=_order))
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
        errors=results.errors,
    )


def _order(ref: ManifestRef) -> tuple[bytes, bytes]:
    # The parts of one huge file may be spread over manifests: the one that ends with it comes first.
    return path_key(ref.first), path_key(ref.last)


def _outcome(snapshot: Snapshot, plan: Plan, results: _Results) -> notes.Outcome:
    """The numbers of this job: files and bytes of the whole snapshot, the rest of what was done for it now."""
    stats = results.stats
    result = {
        "snapshot": snapshot.id.hex(),
        "files": snapshot.files,
        "dirs": snapshot.dirs,
        "bytes": snapshot.bytes,
        "files_new": stats.files_new,
        "bytes_read": stats.bytes_read,
        "bytes_stored": stats.bytes_stored,
        "chunks_new": stats.chunks_new,
        "chunks_reused": stats.chunks_reused,
        "segments": plan.segments,
        "skipped": results.skipped,
        "left_out": [{"path": os.fsdecode(path), "why": why} for path, why in results.left_out],
        "errors": len(results.errors),
    }
    return notes.Outcome(json.dumps(result).encode(), next(in_letters(results.errors)))
