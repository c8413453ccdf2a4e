"""One restore, from the request to the finished tree.

Letters say which parcels are there; opener processes write them into a staging folder; the finisher puts the tree in
place. Whatever was asked for and is not there in the end is named: by the worker, by an opener, or, when a parcel
was lost or damaged whole, by comparing the target with the snapshot's listing.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from client.answer import OnSnapshot, untold
from client.arguments import LATEST
from client.delivery import area_of, delivery_area
from client.errors import Interrupted, JobFailed
from client.job import POLL_S, Finished, Job
from client.progress import Meter, Silent, silent
from client.restore.audit import name_missing
from client.restore.finish import Finisher
from client.restore.following import Following
from client.restore.messages import EndSegment, SegmentReport, Take, Took
from client.restore.opener import OpenerTask
from client.restore.pool import OpenerLost, OpenerPool
from client.restore.target import Target
from client.restore.wanted import Wanted
from client.session import Session
from config.errors import StrongroomError
from config.settings import cpu_count
from crypto import job as jobs
from crypto import notes
from sources.source import Note

_BUSY_POLL_S = 0.01
"""How long to wait for an answer of the openers before the next look for a letter: workers wait for both."""


class Restored(NamedTuple):
    """How a restore went: `snapshot` as hex, empty if unknown; `trouble`: why it ended early, or None."""

    snapshot: str
    files: int
    byte_count: int
    failed: dict[bytes, str]
    notes: list[Note]
    kms_calls: int
    seconds: float
    trouble: StrongroomError | None


@dataclass
class _Segment:
    heard: set[int] = field(default_factory=set)
    opened: set[int] = field(default_factory=set)
    damaged: dict[int, str] = field(default_factory=dict)
    parcels: int = -1
    reported: bool = False
    failed: set[bytes] = field(default_factory=set)
    failures: int = 0

    @property
    def done_with(self) -> int:
        """How many of its parcels were opened, or found damaged."""
        return len(self.opened) + len(self.damaged)

    @property
    def whole(self) -> bool:
        complete = self.opened >= set(range(self.parcels)) and not self.damaged
        return self.reported and complete and len(self.failed) >= self.failures


class Restore:
    """One restore into `target`.

    Args:
        session: connected.
        wanted: what.
        target: where it lands.
        on_snapshot: told which snapshot it is.
    """

    def __init__(
        self,
        session: Session,
        wanted: Wanted,
        target: Target,
        on_snapshot: OnSnapshot = untold,
    ) -> None:
        self._session, self._wanted = session, wanted
        self._target = target
        self._on_snapshot = on_snapshot
        self._segments: dict[int, _Segment] = {}
        self._planned = notes.Planned(-1, 0, 0)
        self._finisher = Finisher(wanted.path)
        self._files = self._bytes = self._kms_calls = 0
        self._meter: Meter = Silent()
        self._delivery = self._snapshot = ""
        self._job = Job(session, jobs.RESTORE, wanted.vault.id, self._spec_for)
        self._following = Following(session.publisher, self._job.id)
        self._over = False

    def run(self, open_meter: Callable[[], AbstractContextManager[Meter]] = silent) -> Restored:
        """Do it. What could be delivered is in place afterwards, also when the job failed on the way.

        Args:
            open_meter: opens the display of progress; called after the opener processes were forked.

        Raises:
            Interrupted: Ctrl-C; complete files are in place, nothing else is.
            OpenerLost: an opener died. Nothing is put in place: which file it was writing, nobody knows.
        """
        begun = time.monotonic()
        trouble: StrongroomError | None = None
        try:
            with ExitStack() as cleanup:
                self._delivery = cleanup.enter_context(
                    delivery_area(self._session.installation, self._job.id, lambda: self._over)
                )
                cleanup.callback(self._leave)
                pool = OpenerPool(self._task(), cpu_count())
                cleanup.callback(pool.close)
                self._meter = cleanup.enter_context(open_meter())
                try:
                    self._follow(pool)
                    self._drain(pool)
                except KeyboardInterrupt:
                    trouble = Interrupted("interrupted; what was complete by then is in place")
                    pool.forget_parcels()
                    self._job.cancel()
                    self._drain(pool)
                except OpenerLost:
                    raise
                except StrongroomError as error:
                    trouble = error
                    self._drain(pool)
            self._files += self._target.finish(self._finisher)
            if not self._complete and (
                trouble is None or (self._snapshot and isinstance(trouble, JobFailed))
            ):
                self._audit()
        except BaseException:
            self._target.remove()
            raise
        return Restored(
            self._snapshot,
            self._files,
            self._bytes,
            self._finisher.failed,
            self._finisher.notes,
            self._kms_calls,
            time.monotonic() - begun,
            trouble,
        )

    @property
    def _complete(self) -> bool:
        """Whether every segment said that it is whole, and every parcel of it could be opened."""
        return len(self._segments) == self._planned.segments and all(
            segment.whole for segment in self._segments.values()
        )

    def _leave(self) -> None:
        if not self._over:
            self._following.leave()

    def _spec_for(self, requester: bytes) -> jobs.Spec:
        return self._wanted.spec(requester, area_of(self._session.installation))

    def _task(self) -> OpenerTask:
        return OpenerTask(
            self._session.registry,
            self._job.opening,
            self._job.id,
            self._delivery,
            self._target,
            self._wanted.path,
            self._session.installation.settings.store,
        )

    def _follow(self, pool: OpenerPool) -> None:
        self._following.tell()
        self._job.submit()
        while True:
            event = self._job.next(0.0 if pool.busy else POLL_S)
            if isinstance(event, Finished):
                self._over = True
                self._kms_calls = event.kms_calls
                self._finisher.fail(event.errors)
                return
            self._hear(pool, event)
            self._read(pool, _BUSY_POLL_S if event is None and pool.busy else 0.0)
            self._following.tell()

    def _hear(self, pool: OpenerPool, note: notes.Note | None) -> None:
        if isinstance(note, notes.Planned):
            self._planned = note
            self._show()
        elif isinstance(note, notes.Restoring):
            if not self._snapshot and self._is_ours(note.snapshot):
                self._on_snapshot(self._snapshot, note.time_ns)
        elif isinstance(note, notes.Parcel):
            # Before it is known of which snapshot, a parcel can wait: the segment's end names it again.
            if self._snapshot and self._segments.setdefault(note.segment, _Segment()).parcels < 0:
                self._take(pool, note.segment, note.sequence)
        elif isinstance(note, notes.SegmentDone) and self._is_ours(note.snapshot):
            segment = self._segments.setdefault(note.segment, _Segment())
            segment.failed.update(path for path, _ in (*note.failed, *note.torn))
            segment.failures = note.failures
            self._finisher.fail(note.failed)
            self._finisher.tear(note.torn)
            if segment.parcels < 0:
                segment.parcels = note.parcels
                # A letter may be lost while its parcel is there: what was not named is tried all the same.
                for sequence in sorted(set(range(note.parcels)) - segment.heard):
                    self._take(pool, note.segment, sequence)
                pool.give(EndSegment(note.segment))

    def _is_ours(self, snapshot: bytes) -> bool:
        """Whether a note is about the one snapshot that is being restored: what comes first decides.

        A plan that is delivered twice may find another `latest` the second time, and whoever can write to the broker
        can have it made twice; two snapshots must never make one tree.
        """
        wanted = self._wanted.snapshot
        if not self._snapshot and snapshot and (wanted == LATEST or snapshot.hex().startswith(wanted)):
            self._snapshot = snapshot.hex()
        return self._snapshot == snapshot.hex()

    def _take(self, pool: OpenerPool, number: int, sequence: int) -> None:
        segment = self._segments.setdefault(number, _Segment())
        # Delivered twice is normal; what was damaged may be whole the second time.
        if sequence not in segment.heard or sequence in segment.damaged:
            segment.heard.add(sequence)
            now_ms = time.time_ns() // 1_000_000
            pool.give(Take(number, sequence, now_ms, bytes.fromhex(self._snapshot)))
        else:
            self._following.took(number, segment.done_with)  # perhaps the worker has not heard of it

    def _read(self, pool: OpenerPool, timeout_s: float) -> None:
        for answer in pool.answers(timeout_s):
            segment = self._segments.setdefault(answer.segment, _Segment())
            if isinstance(answer, SegmentReport):
                segment.reported = True
                self._finisher.fail(answer.failed)
                self._finisher.add(answer.dirs, answer.links, answer.parts, answer.notes)
            elif answer.trouble:
                segment.damaged[answer.sequence] = answer.trouble
            else:
                self._took(segment, answer)
            if isinstance(answer, Took):
                self._following.took(answer.segment, segment.done_with)
        self._show()

    def _took(self, segment: _Segment, answer: Took) -> None:
        segment.opened.add(answer.sequence)
        segment.damaged.pop(answer.sequence, None)
        self._files += answer.files
        self._bytes += answer.byte_count

    def _drain(self, pool: OpenerPool) -> None:
        """Let the openers finish what they were given, and have them report on segments that never ended."""
        for number, segment in self._segments.items():
            if segment.parcels < 0:
                pool.give(EndSegment(number))
        while pool.busy:
            self._read(pool, POLL_S)

    def _audit(self) -> None:
        """Name what should be there and is not, after parcels were lost or damaged."""
        damaged = sum(len(segment.damaged) for segment in self._segments.values())
        why = f"it was in one of {damaged} damaged parcels" if damaged else "it was in a parcel that was lost"
        # Nobody said which snapshot: then all that was asked for is missing.
        wanted = replace(self._wanted, snapshot=self._snapshot or self._wanted.snapshot)
        try:
            missing = name_missing(self._session, wanted, self._target)
        except StrongroomError as error:
            where = wanted.path or b"/"
            self._finisher.fail(
                [(where, f"parcels were lost, and what they held is not known: {error.message}")]
            )
            return
        self._finisher.fail((path, why) for path in missing)

    def _show(self) -> None:
        self._meter.show(self._files, self._planned.files, self._bytes, self._planned.byte_count)
