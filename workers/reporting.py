"""What a worker tells of a job: numbers to the scheduler, words to the requester and to nobody else."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from config.errors import StrongroomError
from config.queues import REPORT
from crypto import canonical, notes, report
from crypto.certificate import ProcessSigned
from crypto.errors import KeyRefused, KeyWiped
from crypto.report import REPORT_VERSION, Report
from crypto.signing import Domain
from repository.errors import RepositoryError, StoreUnreachable
from sources.source import Note
from workers.admission import Job, Stray, require_not_over
from workers.keys import KeyBrokerSilent, Send, VaultKeys
from workers.lists import BrokerUnreachable
from workers.process import Process

NOTE_EVERY_S = 0.4
MAX_NAMED = 256 * 1024
"""Bytes of paths and texts in one letter: a larger letter would be refused as a whole."""
ALIVE_EVERY_S = 5.0


def in_letters(problems: Iterable[Note]) -> Iterator[tuple[Note, ...]]:
    """`problems` in groups that one letter has room for; at least one group."""
    group: list[Note] = []
    room = MAX_NAMED
    for path, text in problems:
        room -= len(path) + 4 * len(text) + 16
        if room < 0 and group:
            yield tuple(group)
            group, room = [], MAX_NAMED
        group.append((path, text))
    yield tuple(group)


STOPPED_S = 30.0
"""A process that did not get to say anything for so long may have a successor: half of a lease."""


class TryAgain(StrongroomError):
    """This attempt cannot go on, but another can."""


class Stopped(TryAgain):
    """The process stood still for so long that the job may be another worker's by now."""


# What the scheduler tries again; everything else is final. The one place where that is decided for jobs.
RETRYABLE = (KeyBrokerSilent, KeyWiped, BrokerUnreachable, StoreUnreachable, TryAgain)


class Reporter:
    """Speaks for one task of one job.

    Args:
        process: signs and delivers.
        job: spoken about.
        send: wakes the scheduler.
        show: shows a short text of counts in the monitor.
    """

    def __init__(self, process: Process, job: Job, send: Send, show: Callable[[str], None]) -> None:
        self._process = process
        self._job = job
        self._send = send
        self._show = show
        self._keys: VaultKeys | None = None
        self._next_note = 0.0
        self._said = time.monotonic()
        self._waiting_until_ms: dict[type[notes.Note], int] = {}

    def follow(self, keys: VaultKeys) -> None:
        """Count the KMS calls of the task's key ring, and tell when it has to wait for a key."""
        self._keys = keys
        keys.on_wait = self.waiting_for_key

    def note(self, note: notes.Note) -> None:
        """Tell the requester."""
        self._process.lists.push_letter(self._job.id, canonical.encode(notes.Letter(self._seal(note), None)))

    def progress(self, segment: int, files: int, byte_count: int) -> None:
        """Tell how far a segment is; says something only every now and then, so call it freely."""
        now = time.monotonic()
        if now >= self._next_note:
            self._next_note = now + NOTE_EVERY_S
            self.note(notes.Progress(segment, files, byte_count))
            self._show(f"segment {segment}: {files} files, {byte_count / 1e6:.0f} MB")
        self.alive()

    def waiting(self, error: RepositoryError, left_s: float) -> None:
        """Tell the requester why nothing gets on, and until when that is tried. From any thread; never an error.

        Other calls that wait by then are not told of: a slow store would have a note for each request.
        """
        self._wait(notes.Waiting, error, left_s)

    def waiting_for_key(self, error: StrongroomError, left_s: float) -> None:
        """The same, when there is no key; the job's lease goes on meanwhile."""
        self._wait(notes.KeyWaiting, error, left_s)
        self.alive()

    def _wait(
        self, kind: type[notes.Waiting] | type[notes.KeyWaiting], error: StrongroomError, left_s: float
    ) -> None:
        now_ms = time.time_ns() // 1_000_000
        if now_ms < self._waiting_until_ms.get(kind, 0):
            return
        until_ms = self._waiting_until_ms[kind] = now_ms + int(left_s * 1000)
        with suppress(BrokerUnreachable):
            self.note(kind(error.message, until_ms))

    def alive(self) -> None:
        """Extend the job's lease, every now and then, and look whether there still is one; call it freely.

        Raises:
            Stray: the job is over.
        """
        if time.monotonic() >= self._said + ALIVE_EVERY_S:
            self.report(report.ALIVE)
            # A broker that is away has no word of it either; the next look is as good.
            with suppress(BrokerUnreachable):
                self._look()

    def go_on(self, *, look: bool = False) -> None:
        """`alive`, before a step that must not be done once the job is over or another worker's.

        Args:
            look: whether the job is over, now, and not only when it is time for it: before what cannot be undone.

        Raises:
            Stopped: it may be.
            Stray: it is over.
            BrokerUnreachable: it cannot be looked, but was to be.
        """
        if time.monotonic() >= self._said + STOPPED_S:
            raise Stopped("the worker stood still while it removed objects", remedy="see the host's load")
        self.alive()
        if look:
            self._look()

    def _look(self) -> None:
        require_not_over(self._process, self._job, self._process.lists.over(self._job.id))

    def report(
        self,
        kind: str,
        *,
        segments: int = 0,
        segment: int = 0,
        files: int = 0,
        byte_count: int = 0,
        code: str = "",
        retryable: bool = False,
        outcome: notes.Note | None = None,
    ) -> None:
        """Tell the scheduler."""
        self._said = time.monotonic()
        body = Report(
            REPORT_VERSION,
            os.urandom(16),
            self._job.id,
            self._job.ticket.fence,
            self._process.role,
            kind,
            segments,
            segment,
            files,
            byte_count,
            self._keys.take_calls() if self._keys is not None else 0,
            code,
            retryable,
            b"" if outcome is None else canonical.encode(self._seal(outcome)),
        )
        signed = self._process.keys().sign(Domain.REPORT, body)
        self._send(REPORT, canonical.to_text(canonical.encode(signed)))

    @contextmanager
    def ending_well(self) -> Iterator[None]:
        """Whatever goes wrong inside is told: to the requester in words, to the scheduler as a code.

        An error that is not one of ours is told as `internal` and raised on, so that the log has its place. A stray
        message is nobody's failure: it is raised on and not told.
        """
        try:
            yield
        except Stray:
            raise
        except StrongroomError as error:
            code = error.code if isinstance(error, KeyRefused) else _code(error)
            retryable = error.retryable if isinstance(error, KeyRefused) else isinstance(error, RETRYABLE)
            failure = notes.Failure(code, error.message, error.remedy)
            self.report(report.FAILED, code=code, retryable=retryable, outcome=failure)
        except Exception as error:
            text = f"an error inside the {self._process.role} worker: {type(error).__name__}"
            failure = notes.Failure("internal", text, f"see {self._process.role}.log")
            self.report(report.FAILED, code="internal", retryable=True, outcome=failure)
            raise

    def _seal(self, note: notes.Note) -> ProcessSigned:
        keys = self._process.keys()
        return notes.write_note(keys, self._process.role, self._job.id, self._job.spec.requester, note)


def _code(error: StrongroomError) -> str:
    """`StoreFull` as `store-full`: the error's class is its code."""
    name = type(error).__name__
    return "".join(f"-{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(name))
