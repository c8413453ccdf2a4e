"""Verdicts: how a job stands, in the scheduler's own words, signed, to the list of whoever asked for it."""

import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from crypto import canonical, notes, ticket
from crypto.notes import COMMIT_UNKNOWN, COMMITTING, Letter, Verdict
from scheduler.errors import Refused
from scheduler.kinds import KINDS
from scheduler.lifecycle import DONE, FAILED, INTERRUPTED, LOST, MAX_ATTEMPTS, NO_WORKER, QUEUED, WAITING, Job
from scheduler.parts import Parts
from workers.lists import BrokerUnreachable

logger = logging.getLogger(__name__)

UNKNOWN: Final = "unknown"
VAULT_UNKNOWN: Final = "vault-unknown"
NO_STACK: Final = "no-stack"
TOO_SOON: Final = "too-soon"
TOO_SOON_WORDS: Final = (
    "this scheduler does not know for long enough who works on the vault",
    "back up, and prune six hours later; prune only where all backups of the vault are scheduled",
)
TOO_MANY: Final = "too-many-ended"
TOO_MANY_WORDS: Final = (
    "more backups of the vault have ended in the last 12 hours than a prune can rule out",
    "prune again when fewer have, 12 hours after the last of them at the latest: see `strongroom jobs`",
)

_FAILURES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        INTERRUPTED: ("the job was interrupted when its client or its stack ended", "run the command again"),
        NO_WORKER: (
            f"no worker took the job in {MAX_ATTEMPTS} attempts",
            "see `strongroom status`: the worker of its role does not run",
        ),
        LOST: (f"its workers fell silent in {MAX_ATTEMPTS} attempts", "see the workers' logs"),
        COMMIT_UNKNOWN: (
            "the backup ended while its snapshot was being written",
            "see `strongroom snapshots`: the snapshot is there, whole, or it is not",
        ),
        NO_STACK: (
            "a backup of this vault, or a restore, waits for its stack, and may need what would be removed",
            "run `strongroom up`, and prune when it has ended: see `strongroom jobs`",
        ),
        TOO_SOON: TOO_SOON_WORDS,
        TOO_MANY: TOO_MANY_WORDS,
        VAULT_UNKNOWN: ("the job's vault is no longer registered", "attach the vault again"),
    }
)
# A worker's own words are sealed in the outcome; these stand beside its code.
_OF_WORKER: Final = ("the job failed in a worker", "see the outcome of the job, or the worker's log")


def standing(job: Job) -> Verdict:
    """The verdict on a job as it stands in the ledger."""
    message, remedy = _FAILURES.get(job.code, _OF_WORKER) if job.state == FAILED else ("", "")
    state = QUEUED if job.state == WAITING else job.state
    return Verdict(job.id, state, code_of(job), message, remedy, job.kms_calls, job.attempts, job.outcome)


def code_of(job: Job) -> str:
    """Why it ended as it did; of one that has not ended, whether it still can be called off."""
    return COMMITTING if job.committing and not job.over else job.code


def unknown(job: bytes) -> Verdict:
    """The verdict on a job that is not in the ledger."""
    remedy = "submit it (again)"
    return Verdict(job, UNKNOWN, UNKNOWN, "the scheduler does not know this job", remedy, 0, 0, b"")


def refusal(job: bytes, why: Refused) -> Verdict:
    """The verdict on a request that started nothing."""
    return Verdict(job, FAILED, why.code, why.message, why.remedy, 0, 0, b"")


def answer(job: bytes, sealed: bytes) -> Verdict:
    """The verdict that carries the sealed answer to a question."""
    return Verdict(job, DONE, "", "", "", 0, 0, sealed)


def send(parts: Parts, verdict: Verdict) -> None:
    """Sign a verdict and append it to its requester's list; a requester that misses it asks for the status."""
    letter = canonical.encode(Letter(None, notes.write_verdict(parts.identity, verdict)))
    try:
        parts.publisher.push_letter(verdict.job, letter)
    except BrokerUnreachable as error:
        logger.warning("no verdict sent on job %s: %s", verdict.job.hex(), error.message)


def announce(parts: Parts, job: Job) -> None:
    """Tell how a job ended: the log, the key-broker, and its requester; nobody waits for the scheduler's own jobs."""
    how = f"{job.state}, {job.code}" if job.code else job.state
    logger.info("job %s after %d attempts: %s", job.id.hex(), job.attempts, how)
    end_tickets(parts, job)
    if job.operator != parts.identity.id:
        send(parts, standing(job))


def end_tickets(parts: Parts, job: Job) -> None:
    """Have the key-broker refuse the tickets of a job that is over: a copy of its messages must open nothing.

    Workers that deliver for it see it as well, and stop.

    Should this be lost, they end by their own time and budget.
    """
    if not KINDS[job.kind].operations:
        return
    try:
        signed = canonical.to_text(canonical.encode(ticket.end(parts.identity, job.id)))
        parts.publisher.end_tickets(job.id, signed)
    except BrokerUnreachable as error:
        logger.warning("the tickets of job %s end by their time: %s", job.id.hex(), error.message)
