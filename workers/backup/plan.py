"""The plan of a backup: walk, compare with the parent snapshot, cut into segments, and wake a task for each at once.

Work objects are written while the walk goes on, so that other workers begin before it ends; the plan object, written
last and only once per job, says how many segments count. A later attempt finds it and wakes what is not done.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

import msgspec

from config.queues import BACKUP_SEGMENT
from crypto import notes, report
from repository import layout
from repository.adopt import adopt_packs
from repository.builder import absent_chunks, is_whole
from repository.catalog import (
    finished_segments,
    manifests_ahead,
    read_manifest,
    read_plan,
    read_snapshots,
    write_plan,
    write_work,
)
from repository.errors import FormatError, ObjectExists, ObjectMissing
from repository.index import write_indexes
from repository.manifest import Manifest, ManifestRef, Plan, Snapshot, Work
from repository.presence import MOST, Presence
from repository.store import ReadStore
from repository.vault import read_config
from sources.patterns import Patterns
from sources.source import Note, Source
from workers.admission import Stray
from workers.backup.cut import Kept, Segment, cut, span, taper, things
from workers.backup.epoch import open_epoch
from workers.backup.parts import Seams
from workers.backup.session import BackupSession, log_damaged
from workers.reporting import Reporter, TryAgain

logger = logging.getLogger(__name__)

ADOPTED = 1 << 31
"""Added to the fence in the id of an index of adopted packs: a job's own index never has such a number."""
TELL_EVERY_S = 0.4
AT_ONCE = 256
"""Entries of a walk, or names of a listing, between two looks at the time."""

T = TypeVar("T")


class PlanTaken(TryAgain):
    """Another delivery of the same attempt came first; the scheduler begins a new attempt."""


@dataclass
class _Tally:
    """What the walk has come to so far."""

    kept: list[ManifestRef] = field(default_factory=list)
    errors: list[Note] = field(default_factory=list)
    skipped: list[Note] = field(default_factory=list)
    segments: int = 0
    files: int = 0
    bytes: int = 0


def make_plan(session: BackupSession, reporter: Reporter, max_epoch_days: float) -> None:
    """Plan the job, or take up the plan that an earlier attempt left.

    Raises:
        Stray: the job is over.
        StrongroomError: a path to back up is not there, the repository or a key is not to be had.
    """
    if session.is_over():
        raise Stray("the job is over")
    session.keys.sealing_epoch = open_epoch(session, max_epoch_days)
    # Proves that this is the vault's repository, and the key the right one, before anything is read.
    read_config(session.store, session.vault, session.keys)
    try:
        plan = read_plan(session.store, session.vault, session.keys, session.job.id)
    except ObjectMissing:
        plan = _plan_anew(session, reporter)
    else:
        _wake_unfinished(session, plan)
    reporter.report(report.PLANNED, segments=plan.segments)
    # The scheduler counts what this attempt does, and nothing else.
    inherited = plan.fence != session.job.ticket.fence
    if not plan.segments or (inherited and _done(session, plan).issuperset(range(plan.segments))):
        reporter.report(report.READY)


def _done(session: BackupSession, plan: Plan) -> set[int]:
    return finished_segments(session.store, session.job.id, plan.fence)


def _plan_anew(session: BackupSession, reporter: Reporter) -> Plan:
    spec, job = session.spec, session.job
    epoch = session.keys.sealing_epoch or 0
    fence = job.ticket.fence
    started = time.time_ns()
    missing = _adopt(session, reporter, fence, epoch)
    source = session.source()
    parent = _parent(session, source)
    tally = _Tally()
    if missing:
        tally.errors.append((source.roots[0], _missing_packs(missing)))
    found = source.walk(
        Patterns.parse(spec.excludes),
        on_error=lambda path, why: tally.errors.append((path, why)),
        on_skip=lambda path, why: tally.skipped.append((path, why)),
    )
    teller = _Teller(reporter, tally)
    refs = parent.manifests if parent else []
    with manifests_ahead(session.store, refs) as store:
        pieces = cut(
            _watched(found, reporter), refs, _reader(session, store), Seams(session.chunker(), source.look)
        )
        for piece in taper(pieces):
            if isinstance(piece, Kept):
                tally.kept.append(piece.ref)
                continue
            _hand_out(session, epoch, tally.segments, piece)
            tally.segments += 1
            items = piece.all_items()
            tally.files += things(items)
            tally.bytes += sum(span(item) for item in items)
            teller.tell()
    teller.tell(last=True)
    plan = Plan(
        fence,
        epoch,
        tally.segments,
        started,
        parent.id if parent else b"",
        tally.kept,
        tally.errors,
        tally.skipped,
    )
    try:
        write_plan(session.store, session.vault, session.keys, job.id, plan)
    except ObjectExists:
        return read_plan(session.store, session.vault, session.keys, job.id)
    return plan


def _hand_out(session: BackupSession, epoch: int, number: int, piece: Segment) -> None:
    """Write a segment's work object and wake a worker for it.

    Raises:
        PlanTaken: another delivery of this very attempt has written it. Two plans of one attempt must not mix: their
            walks may differ, and so may their cuts.
    """
    fence = session.job.ticket.fence
    segment = layout.segment_id(session.job.id, fence, number)
    try:
        work = Work(piece.items, piece.parents, patches=list(piece.patches))
        write_work(session.store, session.vault, session.keys, epoch, segment, work)
    except ObjectExists as error:
        raise PlanTaken("this attempt of the job is being planned, or was, by another worker") from error
    session.send(BACKUP_SEGMENT, *session.job.texts(), fence, number)


def _wake_unfinished(session: BackupSession, plan: Plan) -> None:
    done = _done(session, plan)
    for number in range(plan.segments):
        if number not in done:
            session.send(BACKUP_SEGMENT, *session.job.texts(), plan.fence, number)


def _watched(found: Iterable[T], reporter: Reporter) -> Iterator[T]:
    """The same, a few at a time: in between the lease is renewed, and a job that is over ends.

    Raises:
        Stray: the job is over.
    """
    found = iter(found)
    while few := list(islice(found, AT_ONCE)):
        reporter.alive()
        yield from few


def _adopt(session: BackupSession, reporter: Reporter, fence: int, epoch: int) -> list[str]:
    """Put packs that an interrupted backup left into the index, so that their chunks are not stored again.

    Returns:
        The names of packs that the index has and the store has not: what is in them counts as stored.
    """
    index, struck = session.index(), session.struck()
    indexed = (pack for pack in index.indexed_packs() if pack not in struck.packs)
    presence = Presence(session.store, indexed)
    listed = presence.through(_watched(session.store.list(layout.PACKS), reporter))
    adopted = adopt_packs(session.store, session.vault, session.keys, index, log_damaged, struck, listed)
    if adopted:
        job = session.job.id
        try:
            write_indexes(session.store, session.vault, session.keys, epoch, job, ADOPTED + fence, adopted)
        except ObjectExists:
            logger.info("another delivery of this attempt has adopted the packs")
    return presence.missing


def _missing_packs(names: list[str]) -> str:
    many = f"{MOST} or more" if len(names) == MOST else f"{len(names)}"
    return (
        f"the repository lacks {many} of the packs that its index names, "
        "and files that need them cannot be restored: run `strongroom check`"
    )


def _parent(session: BackupSession, source: Source) -> Snapshot | None:
    """The newest snapshot of the same host and the same paths."""
    host = source.host or session.spec.hostname
    found = None
    for snapshot in read_snapshots(session.store, session.vault, session.keys, log_damaged):
        if snapshot.hostname == host and sorted(snapshot.paths) == sorted(source.roots):
            found = snapshot
    return found


def _reader(session: BackupSession, store: ReadStore) -> Callable[[ManifestRef], Manifest]:
    """Reads the parent's manifests; one that is damaged counts as empty, so that its files are read again.

    So are those whose chunks are not there any more: their entries come with no stamp. What is struck counts as gone.
    """
    index, struck = session.index(), session.struck()

    def read(ref: ManifestRef) -> Manifest:
        if not struck.manifests.isdisjoint((ref.id, *ref.bases)):
            return Manifest([], b"", [])  # a prune may remove it
        try:
            found = read_manifest(store, session.vault, session.keys, ref)
        except (FormatError, ObjectMissing) as error:
            log_damaged("a manifest of the parent", error)
            return Manifest([], b"", [])
        absent = absent_chunks(found, index)
        if not absent:
            return found
        entries = [
            entry if is_whole(entry, absent) else msgspec.structs.replace(entry, stamp=b"")
            for entry in found.entries
        ]
        return msgspec.structs.replace(found, entries=entries)

    return read


class _Teller:
    """Tells the requester how the plan grows, now and then."""

    def __init__(self, reporter: Reporter, tally: _Tally) -> None:
        self._reporter = reporter
        self._tally = tally
        self._next = 0.0

    def tell(self, *, last: bool = False) -> None:
        now = time.monotonic()
        if last or now >= self._next:
            self._next = now + TELL_EVERY_S
            tally = self._tally
            self._reporter.note(notes.Planned(tally.segments, tally.files, tally.bytes))
            self._reporter.alive()
