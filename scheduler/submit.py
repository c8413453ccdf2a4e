"""A request arrives: what it asks for happens at most once, and its sender is told how it stands."""

import logging

from crypto import hpke, job, notes
from crypto.errors import Malformed
from crypto.job import JobRequest
from crypto.notes import Verdict
from crypto.registry import Enrolled, Registry
from scheduler import answers, dispatch, lifecycle, prunes, requests, verdicts
from scheduler.errors import Dropped, Refused
from scheduler.lifecycle import CLAIM_MS, TICKET_LIFETIME_MS, Job
from scheduler.parts import Parts
from workers.lists import BrokerUnreachable

logger = logging.getLogger(__name__)


def submit(parts: Parts, text: object, now_ms: int) -> Verdict:
    """Do what a request asks for, and send the verdict.

    1-3. It comes from an enrolled operator, or is dropped (`scheduler.requests`).
    4. Version and kind are known here.
    5. A job that is known already is answered for and not started again, however old the request is: a replay must
       not look like a failure of the job. Another operator's job is dropped: it is none of the sender's business.
    6. It is fresh.
    7-9. Vault, spec and repository belong together and to the operator.
    10. The spec is sealed to the workers, and to nobody else.
    11. The job is in the ledger before anybody hears of it.
    12. Ticket, wake-up, verdict.

    Raises:
        Dropped: nothing happened and nobody is told.
        LedgerError: nothing happened; the client submits again.
    """
    registry = parts.registry()
    operator, request = requests.read_request(registry, text)
    try:
        verdict = _decide(parts, registry, operator, request, now_ms)
    except Refused as why:
        logger.info("request for job %s refused: %s", request.job.hex(), why.code)
        verdict = verdicts.refusal(request.job, why)
    verdicts.send(parts, verdict)
    return verdict


def _decide(
    parts: Parts, registry: Registry, operator: Enrolled, request: JobRequest, now_ms: int
) -> Verdict:
    known = parts.ledger.get(request.job)  # 5
    if known is not None:
        if not requests.may_see(operator, known, parts.identity.id):
            raise Dropped("the job belongs to another operator")
        if request.kind == job.CANCEL:
            known = _cancel(parts, request, known, now_ms)
        return verdicts.standing(known)
    requests.check_version(request)  # 4
    if request.kind in (job.STATUS, job.CANCEL):
        return verdicts.unknown(request.job)
    requests.check_fresh(request, now_ms)  # 6
    if request.kind == job.ASK:
        return _answer(parts, registry, operator, request, now_ms)
    return _start(parts, registry, operator, request, now_ms)


def _start(parts: Parts, registry: Registry, operator: Enrolled, request: JobRequest, now_ms: int) -> Verdict:
    vault = requests.check_vault(registry, operator, request)  # 7
    spec = requests.open_request_spec(parts.identity, request)  # 8
    requests.check_repository(vault, spec)  # 9
    host = requests.host_of(vault, spec)
    if isinstance(spec, job.PruneSpec):
        prunes.require_known(parts.ledger, vault.id, now_ms)
        spec = prunes.prepared(parts.ledger, vault.id, spec)
    started = Job(
        id=request.job,
        kind=request.kind,
        vault=vault.id,
        operator=operator.id,
        detached=request.detached,
        stack=parts.stack,
        schedule=None,
        slot_ms=None,
        created_ms=now_ms,
        sealed_spec=dispatch.seal_for_workers(
            registry, request.kind, vault.id, request.job, spec, host
        ),  # 10
        lease_until_ms=now_ms + CLAIM_MS,
        ticket_until_ms=now_ms + TICKET_LIFETIME_MS,
        host=host,
    )
    with parts.ledger.transaction():  # 11
        if not parts.ledger.insert(started):
            raise Dropped("another scheduler has just taken this job")
    try:
        return verdicts.standing(dispatch.dispatch(parts, registry, started, now_ms))  # 12
    except BrokerUnreachable as error:
        logger.warning("job %s waits: %s", started.id.hex(), error.message)
        return verdicts.standing(started)


def _cancel(parts: Parts, request: JobRequest, known: Job, now_ms: int) -> Job:
    """Call a job off, if the request is fresh and the job neither over nor being committed; returns what it is then."""
    try:
        requests.check_fresh(request, now_ms)
    except Refused:
        return known
    with parts.ledger.transaction():
        current = parts.ledger.get(known.id) or known
        if current.over or current.committing:
            return current
        current = lifecycle.cancelled(current, now_ms)
        dispatch.store_end(parts, current)
    logger.info("job %s cancelled", known.id.hex())
    verdicts.end_tickets(parts, current)
    return current


def _answer(
    parts: Parts, registry: Registry, operator: Enrolled, request: JobRequest, now_ms: int
) -> Verdict:
    spec = requests.open_request_spec(parts.identity, request)
    text = answers.answer(parts, registry, operator, requests.question(spec), now_ms)
    try:
        return verdicts.answer(request.job, notes.seal_answer(spec.requester, request.job, text))
    except Malformed as error:
        raise Refused(
            "malformed",
            "the key to answer to is none",
            remedy=f"give {hpke.PUBLIC_BYTES} bytes of an HPKE key",
        ) from error
