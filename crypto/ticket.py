"""Tickets: who may do what to which vault, for which job, until when, with how many unwraps.

Only the scheduler signs them. A message that carries no valid ticket is noise; a worker that holds one can open
exactly what it covers. The ticket also binds the job's sealed spec, so that nobody can pair a valid ticket with a
spec of their own (with their own key as the receiver of a restore, say).
"""

import hashlib

import msgspec

from crypto import signing
from crypto.certificate import SKEW_MS
from crypto.errors import Expired, Malformed, OutOfScope, Untrusted
from crypto.identity import Identity
from crypto.registry import ID_BYTES, SCHEDULER, Registry
from crypto.signing import Domain, Signed

TICKET_VERSION = 1
GENERATE = "generate"
ENCRYPT = "encrypt"
DECRYPT = "decrypt"
INIT = "init"
"""The operation of creating a vault: `generate`, and making the CMK of a local KMS when there is none."""
FORGET = "forget"
"""Removing snapshots. No key is given for it: a worker removes none without it in its ticket."""
PRUNE = "prune"
"""Removing what nothing needs; as FORGET."""
COMMIT = "commit"
"""No operation with a key: the job's snapshot may be created. Given once the job can no more be called off."""
OPERATIONS = (GENERATE, ENCRYPT, DECRYPT, INIT, FORGET, PRUNE, COMMIT)
MAX_LIFETIME_MS = 24 * 60 * 60 * 1000


class Ticket(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One capability. Times are milliseconds since 1970."""

    version: int
    jti: bytes
    job: bytes
    fence: int
    """Attempt number of the job; a newer ticket of the job makes older ones void."""
    tenant: bytes
    vault: bytes
    role: str
    operations: tuple[str, ...]
    spec: bytes
    """SHA-256 of the sealed spec that goes with it."""
    not_before_ms: int
    expires_ms: int
    max_unwraps: int


class JobOver(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Says that a job has ended: from then on its tickets are good for no key, whatever their time."""

    version: int
    job: bytes


def end(scheduler: Identity, job: bytes) -> Signed:
    """Sign that a job is over with the scheduler's identity."""
    return scheduler.sign(Domain.JOB_OVER, JobOver(TICKET_VERSION, job))


def verify_end(registry: Registry, signed: Signed, vault: bytes | None = None) -> bytes:
    """Check that an enrolled scheduler says that a job is over; returns the job's id.

    Args:
        vault: of the job, where it is known: what is said does not name it.

    Raises:
        Untrusted: not signed by an enrolled scheduler, or of an unknown version.
        OutOfScope: the scheduler is not enrolled for this vault.
        Malformed: it says no such thing.
    """
    enrolled = registry.identity(signed.signer)
    enrolled.require(SCHEDULER, vault)
    said = signing.verify(enrolled.sign_public, Domain.JOB_OVER, signed, JobOver)
    if said.version != TICKET_VERSION:
        raise Untrusted(f"version {said.version} of a job's end is not known here")
    if len(said.job) != ID_BYTES:
        raise Malformed("a job's id has not 16 bytes")
    return said.job


def issue(scheduler: Identity, ticket: Ticket) -> Signed:
    """Sign a ticket with the scheduler's identity."""
    return scheduler.sign(Domain.TICKET, ticket)


def verify(registry: Registry, signed: Signed, now_ms: int) -> Ticket:
    """Check that a ticket was signed by an enrolled scheduler and is in its time.

    Raises:
        Untrusted: not signed by an enrolled scheduler, or of an unknown version.
        Expired: before or after its time.
        OutOfScope: its vault is not the tenant's.
        Malformed: not a ticket.
    """
    enrolled = registry.identity(signed.signer)
    enrolled.require(SCHEDULER)
    ticket = signing.verify(enrolled.sign_public, Domain.TICKET, signed, Ticket)
    if ticket.version != TICKET_VERSION:
        raise Untrusted(f"ticket version {ticket.version} is not known here")
    if not ticket.not_before_ms - SKEW_MS <= now_ms < ticket.expires_ms:
        raise Expired("the ticket is not valid now", remedy="submit the job again")
    if ticket.expires_ms - ticket.not_before_ms > MAX_LIFETIME_MS:
        raise Expired("the ticket is valid for longer than tickets may be")
    enrolled.require(SCHEDULER, ticket.vault)
    if registry.vault(ticket.vault).tenant != ticket.tenant:
        raise OutOfScope("the ticket names a vault of another tenant")
    return ticket


def require_operation(ticket: Ticket, operation: str) -> None:
    """Check that a verified ticket allows an operation.

    Raises:
        OutOfScope: it does not.
    """
    if operation not in ticket.operations:
        raise OutOfScope(f"the ticket does not allow to {operation}")


def require(ticket: Ticket, role: str, spec: bytes) -> None:
    """Check that a verified ticket is for this role and goes with this sealed spec.

    Raises:
        OutOfScope: it is not.
    """
    if ticket.role != role:
        raise OutOfScope(f"the ticket is for the role {ticket.role}, not {role}")
    if ticket.spec != hashlib.sha256(spec).digest():
        raise OutOfScope("the ticket was issued for another spec")
