"""A worker reports: its job's lease is renewed, its job goes on, ends, or is tried again."""

import logging
import re
from typing import Final

import msgspec

from crypto import canonical
from crypto.certificate import ProcessSigned, verify_process
from crypto.errors import CryptoError, OutOfScope
from crypto.job import BACKUP, PRUNE, RESTORE
from crypto.notes import COMMIT_UNKNOWN, WORKERS
from crypto.registry import Registry
from crypto.report import ALIVE, DONE, FAILED, KINDS, PLANNED, READY, REPORT_VERSION, SEGMENT, Report
from crypto.signing import Domain
from scheduler import dispatch, lifecycle, verdicts
from scheduler.errors import Dropped
from scheduler.kinds import KINDS as JOB_KINDS
from scheduler.lifecycle import MAX_ATTEMPTS, Job
from scheduler.parts import Parts
from scheduler.requests import ID_BYTES

logger = logging.getLogger(__name__)

MAX_SEGMENTS: Final = 10_000_000
MAX_KMS_CALLS: Final = 1_000_000
"""In one report."""
FINALIZE_PATIENCE_MS: Final = lifecycle.BUSY_PATIENCE_MS
MAX_OUTCOME: Final = 512 * 1024

RETRYABLE_CODES: Final = ("expired",)
"""Failures that the next attempt's new ticket cures, though the worker cannot know it."""

_CODE = re.compile(r"[a-z0-9-]{0,64}")


def report(parts: Parts, text: object, now_ms: int) -> Job:
    """Take in a worker's report; returns the job as it is afterwards.

    1. It is signed by a process of an enrolled worker.
    2. Its numbers are within their limits.
    3. Its job is known, of the worker's role and host, and of a vault that the worker is enrolled for.
    4. It is about the present attempt of an unfinished job; or it says that a job of which nobody knew is done.
    5. It was not counted before.

    A backup's last step is woken when every segment has been told of: no worker has to look for the others' results.
    Its ticket alone lets a worker commit, and the same change of the ledger makes the job one that cannot be cancelled.

    Raises:
        Dropped: it is not, or was; nothing changed.
        BrokerUnreachable: the job's last step was not woken; its lease runs out and it is driven again.
        LedgerError: nothing changed; the job's lease runs out and it is driven again.
    """
    registry = parts.registry()
    found = read_report(registry, text, now_ms)  # 1, 2
    known = parts.ledger.get(found.body.job)
    _check_worker(registry, found, known)  # 3
    with parts.ledger.transaction():
        job = parts.ledger.get(found.body.job)
        if job is None or not (_is_present(job, found.body) or _settles(job, found.body)):  # 4
            raise Dropped(
                f"a report on fence {found.body.fence} of job {found.body.job.hex()} comes too late"
            )
        if not parts.ledger.first_time(job.id, found.body.id):  # 5
            raise Dropped("the report was counted before")
        before, job = job, _apply(parts, job, found.body, now_ms)
        ready = _is_ready(before, job, found.body.kind)
        if ready:
            job = lifecycle.committing(job)
        if job.over:
            dispatch.store_end(parts, job)
        else:
            parts.ledger.update(job)
    if job.over:
        verdicts.announce(parts, job)
    elif ready:
        dispatch.commit(parts, registry, job, now_ms, FINALIZE_PATIENCE_MS)
    return job


def _is_present(job: Job, body: Report) -> bool:
    return not job.over and body.fence == job.fence and job.claimed


def _settles(job: Job, body: Report) -> bool:
    """Whether a report says what became of a commit that was given up: its snapshot is there, whoever made it."""
    return job.code == COMMIT_UNKNOWN and body.kind == DONE and body.fence <= job.fence


class Found(msgspec.Struct, frozen=True):
    """A report whose signature holds, and whose it is."""

    identity: bytes
    role: str
    body: Report


def read_report(registry: Registry, text: object, now_ms: int) -> Found:
    """Read a task argument as a report of some enrolled worker process.

    Raises:
        Dropped: it is not one.
    """
    try:
        signed = canonical.decode(ProcessSigned, canonical.from_text(text))
        certificate, body = verify_process(registry, WORKERS, Domain.REPORT, signed, Report, now_ms)
    except CryptoError as error:
        raise Dropped(f"not a worker's report: {error.message}") from error
    if body.version != REPORT_VERSION or body.kind not in KINDS:
        raise Dropped("a report of a kind or version that is not known here")
    if not (
        len(body.job) == len(body.id) == ID_BYTES
        and 0 <= body.segments <= MAX_SEGMENTS
        and 0 <= body.segment <= MAX_SEGMENTS
        and 0 <= body.kms_calls <= MAX_KMS_CALLS
        and len(body.outcome) <= MAX_OUTCOME
        and _CODE.fullmatch(body.code)
    ):
        raise Dropped("a report with a value out of its limits")
    return Found(signed.certificate.signer, certificate.role, body)


def _check_worker(registry: Registry, found: Found, job: Job | None) -> None:
    if job is None:
        raise Dropped("a report on a job that is not known here")
    if not found.role == found.body.role == JOB_KINDS[job.kind].role:
        raise Dropped("a report on a job of another role")
    try:
        worker = registry.identity(found.identity)
        worker.require(found.role, job.vault)
        if worker.host != job.host:
            raise OutOfScope("the job is another host's")
    except CryptoError as error:
        raise Dropped(f"a report of a worker that is not enrolled for it: {error.message}") from error


def _apply(parts: Parts, job: Job, body: Report, now_ms: int) -> Job:
    job = lifecycle.heard(job, now_ms, body.kms_calls)
    if body.kind in (ALIVE, READY):
        return job
    if body.kind == PLANNED:
        if job.kind == PRUNE:
            # Whoever comes into the ledger from now on finds the mark. A second delivery says nothing new.
            if job.barrier:
                return job
            return msgspec.structs.replace(job, segments=body.segments, barrier=parts.ledger.newest_row())
        done = parts.ledger.count_segments(job.id, job.fence, body.segments)
        job = msgspec.structs.replace(job, segments=body.segments, segments_done=done)
        return _ended_if_delivered(job, now_ms)
    if body.kind == SEGMENT:
        new = parts.ledger.add_segment(job.id, job.fence, body.segment)
        if new and body.segment < job.segments:
            job = msgspec.structs.replace(job, segments_done=job.segments_done + 1)
        return _ended_if_delivered(job, now_ms)
    if body.kind == DONE:
        return lifecycle.ended(job, lifecycle.DONE, now_ms, code=body.code, outcome=body.outcome)
    assert body.kind == FAILED
    if (body.retryable or body.code in RETRYABLE_CODES) and job.attempts < MAX_ATTEMPTS:
        logger.info("job %s is tried again: %s", job.id.hex(), body.code)
        return lifecycle.again(job, now_ms)
    return lifecycle.ended(job, lifecycle.FAILED, now_ms, code=body.code, outcome=body.outcome)


def _ended_if_delivered(job: Job, now_ms: int) -> Job:
    """A restore has no last step: it is done when each of its segments is, in whatever order that is told."""
    if job.kind == RESTORE and job.segments == job.segments_done:
        return lifecycle.ended(job, lifecycle.DONE, now_ms)
    return job


def _is_ready(before: Job, job: Job, kind: str) -> bool:
    """Whether a backup has just become complete: the last of its segments was told, or that there are no more."""
    complete = 0 < job.segments == job.segments_done and before.segments_done < job.segments
    return job.kind == BACKUP and not job.over and (complete or kind == READY)
