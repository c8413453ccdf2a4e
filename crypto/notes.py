"""Notes: what a running job tells its requester, sealed so that nobody else can read file names or counts.

A worker's note is sealed to the requester's key and signed by the worker process. The scheduler's verdict, which ends
a job, is signed by the scheduler and carries a worker's sealed note with the outcome in words.
"""

from typing import Any

import msgspec

from crypto import canonical, hpke, signing
from crypto.certificate import ProcessKeys, ProcessSigned, verify_process
from crypto.errors import Untrusted
from crypto.hpke import HpkeKey
from crypto.identity import Identity
from crypto.registry import BACKUP, MAINTENANCE, RESTORE, SCHEDULER, Registry
from crypto.signing import Domain, Signed

COMMITTING = "committing"
"""Code of a running backup that was let create its snapshot: it cannot be called off any more."""
COMMIT_UNKNOWN = "commit-unknown"
"""Code of such a backup that failed: only the repository can tell whether there is a snapshot."""
WORKERS = (BACKUP, RESTORE, MAINTENANCE)


class _Note(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=True):
    def __repr__(self) -> str:
        """The kind only: a traceback or a log must not show what the job says in words."""
        return f"<{type(self).__name__}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


class Planned(_Note, frozen=True, tag="planned"):
    """How much there is to do; sent once the plan is made, and for a backup while it grows."""

    segments: int
    files: int
    byte_count: int


class Restoring(_Note, frozen=True, tag="restoring"):
    """Which snapshot is being delivered, in how many segments."""

    snapshot: bytes
    segments: int
    time_ns: int = 0
    """When the snapshot was made, in nanoseconds since 1970."""


class Progress(_Note, frozen=True, tag="progress"):
    """What one segment has done so far; the newest note of a segment replaces its older ones."""

    segment: int
    files: int
    byte_count: int


class Waiting(_Note, frozen=True, tag="waiting"):
    """A store does not answer, and why; what was asked of it is tried again until then, in ms since 1970."""

    message: str
    until_ms: int


class KeyWaiting(_Note, frozen=True, tag="key-waiting"):
    """No key can be had, and why; it is asked for again until then, in ms since 1970."""

    message: str
    until_ms: int


class Parcel(_Note, frozen=True, tag="parcel"):
    """A parcel is in the delivery area, as `<job hex>/<segment>-<sequence>`."""

    segment: int
    sequence: int
    size: int


class SegmentDone(_Note, frozen=True, tag="segment-done"):
    """A restore segment is delivered whole, but for the files named here; many are named in several notes."""

    segment: int
    parcels: int
    failed: tuple[tuple[bytes, str], ...]
    failures: int = 0
    """How many paths all notes of the segment name: a note that was lost is missed."""
    snapshot: bytes = b""
    """What was delivered from, 16 bytes; empty for a listing."""
    torn: tuple[tuple[bytes, str], ...] = ()
    """Files that are delivered as they were read, but were not whole then."""


class Outcome(_Note, frozen=True, tag="outcome"):
    """A job's result, as the JSON object that the command prints."""

    json: bytes
    errors: tuple[tuple[bytes, str], ...]
    """Every path that could not be read or delivered, and why."""


class Failure(_Note, frozen=True, tag="failure"):
    """A job failed for good, in words."""

    code: str
    message: str
    remedy: str


Note = Planned | Restoring | Progress | Waiting | KeyWaiting | Parcel | SegmentDone | Outcome | Failure


class _Box(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    note: Note


class SealedNote(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A note sealed to the requester, as the body that the worker signs."""

    job: bytes
    role: str
    sealed: bytes


class Verdict(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How a job stands, signed by the scheduler (domain VERDICT)."""

    job: bytes
    state: str
    """`queued`, `running`, `done`, `failed`, `cancelled` or `unknown`."""
    code: str
    message: str
    """Words of the scheduler's own, free of names; what has names is in `outcome`."""
    remedy: str
    kms_calls: int
    attempts: int
    outcome: bytes
    """An encoded `ProcessSigned` note from the worker that ended the job, or a sealed answer; may be empty."""


class Letter(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One element of a requester's list: either a worker's note or the scheduler's verdict."""

    note: ProcessSigned | None
    verdict: Signed | None


def write_note(keys: ProcessKeys, role: str, job: bytes, requester: bytes, note: Note) -> ProcessSigned:
    """Seal a note to the requester of `job` and sign it in the name of this process.

    Raises:
        Malformed: `requester` is not a key.
    """
    sealed = hpke.seal_to(requester, hpke.info(Domain.NOTE, job), canonical.encode(_Box(note)))
    return keys.sign(Domain.NOTE, SealedNote(job, role, sealed))


def read_note(registry: Registry, signed: ProcessSigned, job: bytes, opening: HpkeKey, now_ms: int) -> Note:
    """Check that a note comes from an enrolled worker and belongs to `job`, and open it.

    Raises:
        Untrusted, Expired, Malformed, SealBroken: it does not.
    """
    certificate, body = verify_process(registry, WORKERS, Domain.NOTE, signed, SealedNote, now_ms)
    if body.job != job or body.role != certificate.role:
        raise Untrusted("the note belongs to another job")
    return canonical.decode(_Box, opening.open(body.sealed, hpke.info(Domain.NOTE, job))).note


def write_verdict(scheduler: Identity, verdict: Verdict) -> Signed:
    """Sign a verdict."""
    return scheduler.sign(Domain.VERDICT, verdict)


def read_verdict(registry: Registry, signed: Signed, job: bytes) -> Verdict:
    """Check that a verdict comes from an enrolled scheduler and belongs to `job`.

    Raises:
        Untrusted, Malformed: it does not.
    """
    enrolled = registry.identity(signed.signer)
    enrolled.require(SCHEDULER)
    verdict = signing.verify(enrolled.sign_public, Domain.VERDICT, signed, Verdict)
    if verdict.job != job:
        raise Untrusted("the verdict belongs to another job")
    return verdict


def seal_answer(requester: bytes, job: bytes, text: bytes) -> bytes:
    """Seal the scheduler's answer to a question (`crypto.job.AskSpec`) as the outcome of its verdict."""
    return hpke.seal_to(requester, hpke.info(Domain.VERDICT, job), text)


def open_answer(opening: HpkeKey, job: bytes, outcome: bytes) -> bytes:
    """Open what `seal_answer` sealed; the verdict that carried it was verified before.

    Raises:
        SealBroken: it was sealed to another key or for another job.
    """
    return opening.open(outcome, hpke.info(Domain.VERDICT, job))
