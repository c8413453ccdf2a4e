"""A job's life as pure functions: a row of the ledger in, the changed row out. No clock, no file, no broker.

    waiting --claim, publish--> queued --first report--> running --> done | failed | cancelled
       ^                          |                         |
       +----- lease over, or a failure worth another try ---+

A backup is let commit in the very change in which it stops being one that can be cancelled, so that no snapshot
appears of a job that was. What fails after that may have committed all the same, and says so.

A fence is published at most once: whoever claims a job that was claimed before gives it the next fence. A message that
was lost, or a scheduler that died between claiming and publishing, costs a fence and nothing else.
"""

from typing import Final

import msgspec

from crypto.notes import COMMIT_UNKNOWN

WAITING: Final = "waiting"
"""In the ledger, to be published when its lease is over."""
QUEUED: Final = "queued"
"""Published; no worker has reported yet."""
RUNNING: Final = "running"
DONE: Final = "done"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"
ENDED: Final = (DONE, FAILED, CANCELLED)

LEASE_MS: Final = 60 * 1000
"""A running job that nobody reports on for so long is driven again."""
CLAIM_MS: Final = 10 * 1000
"""How long a scheduler may take from claiming a job to publishing it."""
PATIENCE_MS: Final = 60 * 1000
"""How long a published job may wait for a worker at its first attempt; doubles with each further one."""
BUSY_PATIENCE_MS: Final = 30 * 60 * 1000
"""The same while the workers of its role are seen to work on other jobs: then it is only behind them."""
DEFER_MS: Final = 15 * 1000
TURN_MS: Final = 2 * 1000
"""How long a job that has to wait for its turn is left alone."""
RETRY_PAUSE_MS: Final = 5 * 1000
"""Pause before the second attempt after a failure; doubles with each further one."""
MAX_ATTEMPTS: Final = 5
TICKET_LIFETIME_MS: Final = 6 * 60 * 60 * 1000
UNPLANNED: Final = -1
SWEEPING: Final = -1
"""`barrier` of a prune that removes what it marked."""

INTERRUPTED: Final = "interrupted"
NO_WORKER: Final = "no-worker"
LOST: Final = "lost"


class Job(msgspec.Struct, frozen=True, array_like=True):
    """One job as the ledger keeps it. Times are milliseconds since 1970; 0 is never."""

    id: bytes
    kind: str
    vault: bytes
    operator: bytes
    """Who asked; the scheduler itself for its own jobs."""
    detached: bool
    """Whether it goes on when its client is gone."""
    stack: bytes
    """Whose broker it waits on; see `scheduler.stacks`."""
    schedule: str | None
    """Of the settings: the schedule or the retention that asked for it."""
    slot_ms: int | None
    """Which of its slots this is; None also of the prune that follows the forget of a slot."""
    created_ms: int
    sealed_spec: bytes
    """Sealed to the workers; empty once the job has ended."""
    lease_until_ms: int
    """Until then nobody but its present owner touches it."""
    state: str = WAITING
    fence: int = 1
    attempts: int = 1
    claimed: bool = True
    """Whether this fence may have been published."""
    ticket_until_ms: int = 0
    give_up_ms: int = 0
    """How long the lease may be put off because the workers are busy with other jobs."""
    heard_ms: int = 0
    segments: int = UNPLANNED
    kms_calls: int = 0
    code: str = ""
    outcome: bytes = b""
    finished_ms: int = 0
    tidied: bool = False
    tidy_job: bytes | None = None
    """The job that removes the working objects of this one."""
    host: str = ""
    """Whose workers alone may do it; empty: any worker of its role."""
    segments_done: int = 0
    """Of those planned in the present attempt."""
    committing: bool = False
    """Whether an attempt was let create the snapshot; no later attempt takes that back."""
    barrier: int = 0
    """Of a prune that has marked, and waits: the newest row then. Of all others 0, or SWEEPING."""

    @property
    def begun(self) -> bool:
        """Whether it was published, or may have been; one that has to wait for its turn was not."""
        return self.claimed or self.fence > 1 or self.state != WAITING

    @property
    def over(self) -> bool:
        """Whether it has ended, one way or another."""
        return self.state in ENDED


def upkeep(
    kind: str, job_id: bytes, vault: bytes, stack: bytes, own: bytes, sealed: bytes, now_ms: int
) -> Job:
    """A claimed job of the scheduler itself, which ends with its stack: the next stack makes another.

    Args:
        stack: whose broker it waits on.
        own: identity of the scheduler, who asks for it.
        sealed: its spec, sealed to the workers.
    """
    return Job(
        id=job_id,
        kind=kind,
        vault=vault,
        operator=own,
        detached=False,
        stack=stack,
        schedule=None,
        slot_ms=None,
        created_ms=now_ms,
        sealed_spec=sealed,
        lease_until_ms=now_ms + CLAIM_MS,
        ticket_until_ms=now_ms + TICKET_LIFETIME_MS,
    )


def scheduled(job: Job, schedule: str, slot_ms: int | None = None, host: str = "") -> Job:
    """The scheduler's own `job` as one that a schedule asked for: it goes on when its stack is gone."""
    return msgspec.structs.replace(job, detached=True, schedule=schedule, slot_ms=slot_ms, host=host)


def claim(job: Job, now_ms: int) -> Job:
    """Take a waiting job in order to publish it, under a fence that was never published."""
    return msgspec.structs.replace(
        job,
        state=WAITING,
        fence=job.fence + job.claimed,
        claimed=True,
        segments=UNPLANNED,
        segments_done=0,
        barrier=0,
        lease_until_ms=now_ms + CLAIM_MS,
        ticket_until_ms=now_ms + TICKET_LIFETIME_MS,
    )


def put_off(job: Job, now_ms: int) -> Job:
    """A claimed job that has to wait for its turn, and was not published."""
    return msgspec.structs.replace(job, claimed=False, lease_until_ms=now_ms + TURN_MS)


def parked(job: Job, now_ms: int) -> Job:
    """A prune that has marked, and must not remove anything yet."""
    return msgspec.structs.replace(
        job, lease_until_ms=now_ms + LEASE_MS, ticket_until_ms=now_ms + TICKET_LIFETIME_MS
    )


def sweeping(job: Job, now_ms: int) -> Job:
    """A prune that removes what it marked, from now on."""
    return msgspec.structs.replace(
        parked(job, now_ms), barrier=SWEEPING, give_up_ms=now_ms + BUSY_PATIENCE_MS
    )


def patience_ms(job: Job, busy: bool) -> int:
    """How long the wake-up of a claimed job may wait in its queue; after that it is void."""
    return max(PATIENCE_MS << (job.attempts - 1), BUSY_PATIENCE_MS if busy else 0)


def published(job: Job, now_ms: int, patience: int) -> Job:
    """A claimed job whose wake-up is in the queue for `patience` ms."""
    return msgspec.structs.replace(
        job,
        state=QUEUED,
        lease_until_ms=now_ms + min(patience, PATIENCE_MS << (job.attempts - 1)),
        give_up_ms=now_ms + patience,
    )


def heard(job: Job, now_ms: int, kms_calls: int) -> Job:
    """A job on which its worker reported: its lease is renewed."""
    return msgspec.structs.replace(
        job,
        state=RUNNING,
        heard_ms=now_ms,
        lease_until_ms=now_ms + LEASE_MS,
        give_up_ms=now_ms + BUSY_PATIENCE_MS,
        kms_calls=job.kms_calls + kms_calls,
    )


def again(job: Job, now_ms: int) -> Job:
    """The next attempt of a job, to be claimed after a pause; reports of the old fence count no more."""
    return msgspec.structs.replace(
        job,
        state=WAITING,
        fence=job.fence + 1,
        claimed=False,
        attempts=job.attempts + 1,
        segments=UNPLANNED,
        segments_done=0,
        barrier=0,
        lease_until_ms=now_ms + (RETRY_PAUSE_MS << (job.attempts - 1)),
    )


def ended(job: Job, state: str, now_ms: int, *, code: str = "", outcome: bytes = b"") -> Job:
    """A job that is over; what it was about is forgotten. Of a failed commit nobody here knows how far it came."""
    if state == FAILED and job.committing:
        code = COMMIT_UNKNOWN
    return msgspec.structs.replace(
        job, state=state, code=code, outcome=outcome, finished_ms=now_ms, sealed_spec=b"", lease_until_ms=0
    )


def committing(job: Job) -> Job:
    """A backup whose segments are all done, and whose last step may create the snapshot."""
    return msgspec.structs.replace(job, committing=True)


def cancelled(job: Job, now_ms: int) -> Job:
    """A job that its operator called off; the next fence is taken, so that its workers are stale.

    Not for one that is being committed: it can be called off no more.
    """
    assert not job.committing
    return ended(msgspec.structs.replace(job, fence=job.fence + 1), CANCELLED, now_ms)


def lease_over(job: Job, now_ms: int, busy: bool) -> Job:
    """What becomes of an unfinished job whose lease is over.

    1. Its client is gone, and its ticket has expired: interrupted.
    2. Waiting: claimed.
    3. The workers of its role are busy with other jobs (`busy`), and it is not overdue: put off.
    4. All attempts are used up: failed.
    5. Otherwise claimed for another attempt.
    """
    if not job.detached and job.ticket_until_ms and now_ms >= job.ticket_until_ms:  # 1
        return ended(job, FAILED, now_ms, code=INTERRUPTED)
    if job.state == WAITING:  # 2
        return claim(job, now_ms)
    if busy and now_ms < job.give_up_ms:  # 3
        return msgspec.structs.replace(job, lease_until_ms=now_ms + DEFER_MS)
    if job.attempts >= MAX_ATTEMPTS:  # 4
        return ended(job, FAILED, now_ms, code=NO_WORKER if job.state == QUEUED else LOST)
    return claim(again(job, now_ms), now_ms)  # 5


def adopted(job: Job, stack: bytes, now_ms: int) -> Job:
    """A detached job of a stack that is gone, together with its broker: due at once in this one."""
    return msgspec.structs.replace(job, stack=stack, state=WAITING, lease_until_ms=now_ms)
