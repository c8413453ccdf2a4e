"""One dump, from the request to the last byte.

It is a restore in order: one segment after the other, and the parcels of each by their numbers. This process opens them
itself, each when its turn has come; what was delivered again after that is only removed.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from client.answer import OnSnapshot, untold
from client.broker import Publisher
from client.delivery import area_of, delivery_area
from client.dump.sink import Sink
from client.dump.unpack import Unpacker
from client.errors import DumpBroken, Interrupted, JobFailed
from client.job import Finished, Job
from client.progress import Meter, Silent, silent
from client.restore.following import PULSE_S, Following
from client.restore.parcels import ParcelOpener
from client.restore.wanted import Wanted
from client.session import Session
from crypto import job as jobs
from crypto import notes
from crypto.parcel import Piece


class Dumped(NamedTuple):
    """How a dump went that came to its end. `failed`: what was left out or is in doubt, and why, by path."""

    snapshot: str
    files: int
    byte_count: int
    failed: dict[bytes, str]


@dataclass
class _Segment:
    heard: dict[int, int] = field(default_factory=dict)
    """When which parcel was named, in ms since 1970."""
    taken: int = 0
    parcels: int = -1
    named: set[bytes] = field(default_factory=set)
    failures: int = 0


class Dump:
    """One dump.

    Args:
        session: connected.
        wanted: what; without patterns.
        make_sink: makes what the pieces are written to, from the first of them; with None when there is none at all.
        on_snapshot: told which snapshot it is.
    """

    def __init__(
        self,
        session: Session,
        wanted: Wanted,
        make_sink: Callable[[Piece | None], Sink],
        on_snapshot: OnSnapshot = untold,
    ) -> None:
        self._session, self._wanted, self._make_sink = session, wanted, make_sink
        self._on_snapshot = on_snapshot
        self._unpacker = Unpacker(make_sink)
        self._segments: dict[int, _Segment] = {}
        self._snapshot: bytes = b""
        self._count = -1
        self._at = (0, 0)
        self._failed: dict[bytes, str] = {}
        self._planned = notes.Planned(-1, 0, 0)
        self._meter: Meter = Silent()
        self._job = Job(session, jobs.RESTORE, wanted.vault.id, self._spec_for)
        self._following = Following(session.publisher, self._job.id)
        self._over = False

    def run(self, open_meter: Callable[[], AbstractContextManager[Meter]] = silent) -> Dumped:
        """Do it. The sink is closed when everything came, and spoilt otherwise.

        Raises:
            DumpBroken: not everything came, or not as it was.
            NotDumpable: from `make_sink`.
            Interrupted: Ctrl-C.
            JobFailed and others: see `client.job`.
            OSError: from what is written to.
        """
        try:
            with ExitStack() as cleanup:
                session = self._session
                delivery = cleanup.enter_context(
                    delivery_area(session.installation, self._job.id, lambda: self._over)
                )
                parcels = ParcelOpener(
                    session.registry,
                    self._job.opening,
                    self._job.id,
                    delivery,
                    session.installation.settings.store,
                )
                self._meter = cleanup.enter_context(open_meter())
                cleanup.enter_context(self._here())
                self._follow(parcels)
            self._finish()
        except KeyboardInterrupt as error:
            self._spoil()
            raise Interrupted("interrupted; what was written is not complete") from error
        except Exception as error:
            if not isinstance(error, OSError):
                self._spoil()
            raise
        unpacker = self._unpacker
        return Dumped(
            self._snapshot.hex(), unpacker.files, unpacker.byte_count, self._failed | unpacker.failed
        )

    def _spec_for(self, requester: bytes) -> jobs.Spec:
        return self._wanted.spec(requester, area_of(self._session.installation), in_order=True)

    @contextmanager
    def _here(self) -> Iterator[None]:
        """Say while the block runs that somebody takes the parcels, also while whoever reads what is written does not.

        That is a thread's, with a connection of its own. Workers are told when nothing more will be taken.
        """
        session, gone = self._session, threading.Event()
        publisher = Publisher(session.broker_url, session.installation.settings)

        def pulse() -> None:
            here = Following(publisher, self._job.id)
            while not gone.wait(PULSE_S):
                here.tell()

        thread = threading.Thread(target=pulse, daemon=True)
        self._following.tell()
        thread.start()
        try:
            yield
        except JobFailed:
            raise
        except BaseException:
            self._job.cancel()
            raise
        finally:
            gone.set()
            thread.join()
            publisher.close()
            if not self._over:
                self._following.leave()

    def _follow(self, parcels: ParcelOpener) -> None:
        self._job.submit()
        while True:
            event = self._job.next()
            if isinstance(event, Finished):
                self._over = True
                self._failed |= dict(event.errors)
                return
            self._hear(event, parcels)
            while self._take(parcels):
                self._following.tell()
            self._following.tell()

    def _hear(self, note: notes.Note | None, parcels: ParcelOpener) -> None:
        if isinstance(note, notes.Planned):
            self._planned = note
        elif isinstance(note, notes.Restoring) and not self._snapshot:
            # A plan that is delivered twice may find another `latest`: the first decides.
            self._snapshot, self._count = note.snapshot, note.segments
            self._on_snapshot(note.snapshot.hex(), note.time_ns)
        elif isinstance(note, notes.Parcel):
            segment = self._segments.setdefault(note.segment, _Segment())
            if (note.segment, note.sequence) < self._at:
                # Delivered again, or its worker has not heard that it was taken.
                parcels.remove(note.segment, note.sequence)
                self._following.took(note.segment, segment.taken)
            else:
                segment.heard.setdefault(note.sequence, _now_ms())
        elif isinstance(note, notes.SegmentDone) and note.snapshot == self._snapshot:
            self._end_segment(self._segments.setdefault(note.segment, _Segment()), note)

    def _end_segment(self, segment: _Segment, note: notes.SegmentDone) -> None:
        for path, why in (*note.failed, *note.torn):
            segment.named.add(path)
            self._failed.setdefault(path, why)
        segment.failures = note.failures
        if segment.parcels < 0:
            segment.parcels = note.parcels
            # A letter may be lost while its parcel is there: what was not named is tried all the same.
            for sequence in range(note.parcels):
                segment.heard.setdefault(sequence, _now_ms())

    def _take(self, parcels: ParcelOpener) -> bool:
        """Write the parcel whose turn it is; False when it is not there yet."""
        number, sequence = self._at
        segment = self._segments.get(number)
        if segment is None or not self._snapshot:
            return False
        if sequence == segment.parcels:
            self._at = (number + 1, 0)
            return True
        heard_ms = segment.heard.get(sequence)
        if heard_ms is None:
            return False
        self._unpacker.take(parcels.open(number, sequence, heard_ms, self._snapshot))
        parcels.remove(number, sequence)
        self._at = (number, sequence + 1)
        segment.taken = sequence + 1
        self._following.took(number, segment.taken)
        unpacker, planned = self._unpacker, self._planned
        self._meter.show(unpacker.files, planned.files, unpacker.byte_count, planned.byte_count)
        return True

    def _finish(self) -> None:
        self._unpacker.finish(self._failed)
        if self._at != (self._count, 0):
            raise DumpBroken("parcels of this dump were lost on the way", remedy="dump again")
        if any(len(segment.named) < segment.failures for segment in self._segments.values()):
            raise DumpBroken(
                "not everything could be delivered, and what was lost on the way", remedy="dump again"
            )
        if self._unpacker.sink is None and not self._failed:
            self._unpacker.sink = self._make_sink(None)
        if self._unpacker.sink is not None:
            self._unpacker.sink.close()

    def _spoil(self) -> None:
        if self._unpacker.sink is not None:
            self._unpacker.sink.spoil()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
