"""One job, from the request to the verdict.

The broker may lose or repeat anything: a request is sent again until somebody answers, silence is met with a
question, and nothing is believed that does not verify.
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from client.errors import BrokerUnreachable, Interrupted, JobFailed, SchedulerSilent
from client.session import Session
from client.signs import Lookout, needed
from client.waiting import NO_KEY, Waits
from config.errors import StrongroomError
from crypto import canonical, notes
from crypto import job as jobs
from crypto.certificate import ProcessSigned
from crypto.hpke import HpkeKey
from crypto.registry import SCHEDULER
from crypto.signing import Signed

POLL_S: Final = 2.0
LOOK_AFTER_S: Final = 3.0
"""Silence after which it is looked whether those who have to do the job live."""
ASK_AFTER_S: Final = 10.0
"""Silence after which the scheduler is asked how the job stands."""
RESEND_AFTER_S: Final = 30.0
"""Time without any answer after which the request is sent again; the scheduler takes it once."""
GIVE_UP_AFTER_S: Final = 60.0
CANCEL_S: Final = 5.0
"""How long an interrupted command waits for its cancel to be heard."""
COMMIT_S: Final = 20.0
"""How long it waits for the end of a backup that was being committed and could not be called off any more."""
_RECONNECT_S: Final = 0.2
_RUNNING: Final = ("queued", "running")
_CANCELLED: Final = "cancelled"
_LOOK: Final = "see how it ended with `strongroom jobs`"
_CALLED_OFF: Final = (
    "the job was called off, but its worker may have removed something before it heard of it",
    "see what is left with `strongroom snapshots`",
)


@dataclass(frozen=True)
class Patience:
    """The times above, for tests."""

    look_after_s: float = LOOK_AFTER_S
    ask_after_s: float = ASK_AFTER_S
    resend_after_s: float = RESEND_AFTER_S
    give_up_after_s: float = GIVE_UP_AFTER_S


class Finished(NamedTuple):
    """A job that is done.

    `json` is the result in the worker's words, b"" when there is none; `errors` every path that could not be dealt
    with; `kms_calls` what the job cost.
    """

    json: bytes
    errors: tuple[tuple[bytes, str], ...]
    kms_calls: int
    seconds: float


class Job:
    """One job of this command.

    Args:
        session: connected.
        kind: `crypto.job` has the kinds.
        vault: 16 bytes; zeros for a question to the scheduler.
        make_spec: makes the spec from the requester's public key, whose private half stays here.
        detached: whether the job goes on when this command is gone.
    """

    def __init__(
        self,
        session: Session,
        kind: str,
        vault: bytes,
        make_spec: Callable[[bytes], jobs.Spec],
        patience: Patience = Patience(),
        *,
        detached: bool = False,
    ) -> None:
        self.id = secrets.token_bytes(16)
        self.opening = HpkeKey.generate()
        self._session, self._kind, self._vault = session, kind, vault
        self._patience = patience
        self._detached = detached
        self._spec = make_spec(self.opening.public)
        self._begun = self._heard = self._asked = self._sent = time.monotonic()
        self._request: Signed | None = None
        self._answered = self._committing = False
        self._unreachable: BrokerUnreachable | None = None
        self._waits = Waits()
        self._lookout: Lookout | None = None
        if session.installation.settings.broker.url:
            host = self._spec.host if isinstance(self._spec, jobs.BackupSpec) else ""
            self._lookout = Lookout(session.mailbox, needed(session.registry, kind, vault, host))

    def submit(self) -> None:
        """Send the request.

        Raises:
            BrokerUnreachable: the broker does not take it.
        """
        sealed = jobs.seal_spec(self._spec, self.id, self._session.registry.holders(SCHEDULER))
        self._request = self._signed(self._kind, sealed)
        self._session.publisher.submit(self._request)
        self._begun = self._heard = self._asked = self._sent = time.monotonic()

    def next(self, timeout_s: float = POLL_S) -> notes.Note | Finished | None:
        """The next note, or the end, or None when nothing came in time.

        Raises:
            JobFailed: the job failed for good.
            SchedulerSilent, BrokerUnreachable, StackFailed: nobody answers any more.
        """
        self._session.require_alive()
        try:
            letter = self._session.mailbox.wait(self.id, timeout_s)
            self._unreachable = None
        except BrokerUnreachable as error:
            # Embedded or not, a broker that was restarted is worth waiting for.
            self._unreachable = error
            letter = None
            time.sleep(_RECONNECT_S)
        if letter is not None:
            try:
                return self._read(letter)
            except JobFailed:
                raise
            except StrongroomError:
                self._session.dropped += 1
        self._break_silence()
        return None

    def run(self, on_note: Callable[[notes.Note], None] = lambda _: None) -> Finished:
        """Submit, follow, and return the end.

        Raises:
            Interrupted: Ctrl-C; the message says what became of the job.
            JobFailed and others: see `next`.
        """
        try:
            self.submit()
            while True:
                event = self.next()
                if isinstance(event, Finished):
                    return event
                if event is not None:
                    on_note(event)
        except KeyboardInterrupt as error:
            ended, remedy = self.cancel()
            raise Interrupted(f"interrupted; {ended}", remedy=remedy) from error

    def cancel(self) -> tuple[str, str]:
        """Tell the scheduler that nobody wants the job any more, and wait a moment until it says so.

        Returns:
            What became of the job, in words, as far as the scheduler has said; and what to do about it.
        """
        asked = time.monotonic()
        try:
            self._session.publisher.submit(self._signed(jobs.CANCEL, b""))
            while (left := asked + (COMMIT_S if self._committing else CANCEL_S) - time.monotonic()) > 0:
                if isinstance(self.next(min(left, POLL_S)), Finished):
                    return "the job was done by then", "see its result with `strongroom snapshots`"
        except JobFailed as error:
            if error.code == _CANCELLED:
                return _CALLED_OFF if self._removes() else ("the job was cancelled", "")
            return f"the job had failed: {error.message}", error.remedy
        except (StrongroomError, KeyboardInterrupt):
            pass  # nobody is there to cancel it: a job of a command that is gone ends by its lease
        if self._committing:
            return "the backup was being committed and could not be called off", _LOOK
        return "it is not known whether the job was cancelled in time", _LOOK

    def _removes(self) -> bool:
        """Whether a worker may have removed something before it heard that the job was called off."""
        return isinstance(self._spec, jobs.ForgetSpec | jobs.PruneSpec) and not self._spec.dry_run

    def _signed(self, kind: str, spec: bytes) -> Signed:
        now_ms = time.time_ns() // 1_000_000
        body = jobs.JobRequest(jobs.REQUEST_VERSION, self.id, kind, self._vault, now_ms, spec, self._detached)
        return jobs.request(self._session.installation.operator, body)

    def _read(self, data: bytes) -> notes.Note | Finished | None:
        registry = self._session.registry
        letter = canonical.decode(notes.Letter, data)
        if letter.note is not None:
            now_ms = time.time_ns() // 1_000_000
            note = notes.read_note(registry, letter.note, self.id, self.opening, now_ms)
            self._hear()
            if isinstance(note, notes.Waiting):
                self._waits.hear(note.message, note.until_ms)
                return None
            if isinstance(note, notes.KeyWaiting):
                self._waits.hear(note.message, note.until_ms, NO_KEY)
                return None
            # What ends a job is its verdict; a worker's outcome comes inside that.
            return None if isinstance(note, notes.Outcome | notes.Failure) else note
        if letter.verdict is None:
            return None
        verdict = notes.read_verdict(registry, letter.verdict, self.id)
        self._hear()
        return self._judge(verdict)

    def _judge(self, verdict: notes.Verdict) -> Finished | None:
        if verdict.state in _RUNNING:
            self._committing = verdict.code == notes.COMMITTING
            return None
        if verdict.state == "unknown" and self._kind not in (jobs.STATUS, jobs.CANCEL):
            self._resend()
            return None
        try:
            outcome = self._outcome(verdict)
        except StrongroomError as error:
            if verdict.state == "done":
                raise JobFailed(
                    "outcome-unreadable",
                    f"the job is done, but its result does not verify: {error.message}",
                    remedy="look at its result with `strongroom snapshots`",
                ) from error
            outcome = b""
        if verdict.state != "done":
            if isinstance(outcome, notes.Failure):
                # The worker's words, unless there may be a snapshot all the same.
                remedy = verdict.remedy if verdict.code == notes.COMMIT_UNKNOWN else outcome.remedy
                raise JobFailed(outcome.code, outcome.message, remedy=remedy)
            message = verdict.message or f"the job was {verdict.state}"
            raise JobFailed(verdict.code or verdict.state, message, remedy=verdict.remedy)
        seconds = time.monotonic() - self._begun
        if isinstance(outcome, notes.Outcome):
            return Finished(outcome.json, outcome.errors, verdict.kms_calls, seconds)
        return Finished(outcome if isinstance(outcome, bytes) else b"", (), verdict.kms_calls, seconds)

    def _outcome(self, verdict: notes.Verdict) -> notes.Note | bytes:
        if not verdict.outcome:
            return b""
        if self._kind == jobs.ASK:
            return notes.open_answer(self.opening, self.id, verdict.outcome)
        signed = canonical.decode(ProcessSigned, verdict.outcome)
        now_ms = time.time_ns() // 1_000_000
        return notes.read_note(self._session.registry, signed, self.id, self.opening, now_ms)

    def _hear(self) -> None:
        self._heard = time.monotonic()
        self._answered = True

    def _break_silence(self) -> None:
        """What to do when nothing came: ask, send again, or give up."""
        now = time.monotonic()
        silence = now - self._heard
        if self._lookout is not None and self._unreachable is None and silence > self._patience.look_after_s:
            self._lookout.look()
        if silence > self._patience.give_up_after_s:
            raise self._unreachable or SchedulerSilent(
                "the scheduler does not answer",
                remedy="see `strongroom status`, and whether this identity is enrolled as operator",
            )
        if not self._answered and now - self._sent > self._patience.resend_after_s:
            self._resend()
        elif silence > self._patience.ask_after_s and now - self._asked > self._patience.ask_after_s:
            self._asked = now
            self._publish(self._signed(jobs.STATUS, b""))

    def _resend(self) -> None:
        self._sent = time.monotonic()
        if self._request is not None:
            self._publish(self._request)

    def _publish(self, request: Signed) -> None:
        try:
            self._session.publisher.submit(request)
        except BrokerUnreachable as error:
            self._unreachable = error
