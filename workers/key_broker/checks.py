"""What the key-broker checks before it calls any KMS, in steps that the audit log numbers alike.

 1. The message is a canonical, process-signed envelope.
 2. Its certificate is signed by an enrolled identity, for a worker role of that identity, and in its time;
    the certified process signed the message; the message is a key request. Until here a requester cannot be
    told from noise and is not answered.
 3. The request is of this version, in size, answered where answers belong, and its process key can be sealed
 to.
 4. It was sent just now.
 5. Its ticket was signed by an enrolled scheduler, is in its time, and its vault is its tenant's.
 6. The ticket is for the requester's role, and the requester is enrolled for its vault.
 7. Role and ticket allow each wanted operation, and each record is of that vault, purpose and epoch.
 8. The nonce is new, no newer attempt of the job was seen, and the ticket has unwraps left (`state.admit`).

Nothing here does input or output, and nothing returns a verdict: a check that fails raises.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from config.errors import StrongroomError
from config.queues import reply_list, station
from crypto import canonical, hpke
from crypto import ticket as tickets
from crypto.certificate import Certificate, ProcessSigned, verify_process
from crypto.errors import CryptoError, Expired, HeaderMismatch, Malformed, OutOfScope, Untrusted
from crypto.keyrecord import CHUNK_ID, DEK, MAX_RECORD, KeyRecord, encryption_context
from crypto.keyrequest import FRESH_MS, MAX_WANTS, REQUEST_VERSION, KeyRequest, Want
from crypto.kms.provider import MAX_WRAPPED_BYTES, WrappedKey
from crypto.registry import BACKUP, MAINTENANCE, RESTORE, Enrolled, Registry, VaultEntry
from crypto.signing import Domain
from crypto.ticket import DECRYPT, ENCRYPT, GENERATE, INIT, Ticket

ID_BYTES = 16
MAX_EPOCH = 2**32 - 1
MAX_COUNT = 2**63 - 2
"""The largest number in a ticket; the broker's database holds one more, for its own use (`state.ENDED_FENCE`)."""
MAX_KEY_ID_CHARS = 2048

ROLE_OPERATIONS = {
    BACKUP: frozenset({INIT, GENERATE, ENCRYPT, DECRYPT}),
    RESTORE: frozenset({DECRYPT}),
    MAINTENANCE: frozenset({GENERATE, ENCRYPT, DECRYPT}),
}
"""What a role may ask for at most, whatever its ticket says."""


class Refused(StrongroomError):
    """A check failed.

    Attributes:
        step: its number.
        code: one of `crypto.keyrequest.REFUSALS`.
    """

    def __init__(self, step: int, code: str, cause: StrongroomError) -> None:
        super().__init__(cause.message, remedy=cause.remedy)
        self.step = step
        self.code = code


@dataclass(frozen=True, slots=True)
class Requester:
    """Who asked, once steps 1 and 2 hold.

    Attributes:
        enrolled: the identity.
        certificate: of its process.
        request: what the process signed.
        digest: SHA-256 of the envelope; the reply names it.
    """

    enrolled: Enrolled
    certificate: Certificate
    request: KeyRequest
    digest: bytes

    @property
    def reply_list(self) -> str:
        """Where the answer goes, whatever the request says: the list of its role, host and nonce."""
        return reply_list(station(self.certificate.role, self.enrolled.host), self.request.nonce)


@dataclass(frozen=True, slots=True)
class Errand:
    """One key to fetch: `wrapped` is None for one to be made."""

    want: Want
    context: dict[str, str]
    wrapped: WrappedKey | None


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked, once steps 3 to 7 hold.

    Attributes:
        ticket: the verified ticket.
        vault: its vault, as registered; names the CMK.
        errands: one for each wanted key, in order.
    """

    ticket: Ticket
    vault: VaultEntry
    errands: tuple[Errand, ...]


def identify(registry: Registry, envelope: bytes, now_ms: int) -> Requester:
    """Steps 1 and 2.

    Raises:
        Refused: naming the step.
    """
    with _step(1):
        signed = canonical.decode(ProcessSigned, envelope)
    with _step(2):
        certificate, request = verify_process(
            registry, tuple(ROLE_OPERATIONS), Domain.KEY_REQUEST, signed, KeyRequest, now_ms
        )
        enrolled = registry.identity(signed.certificate.signer)
        if len(request.nonce) != ID_BYTES:
            raise Malformed("the nonce has the wrong length")
    return Requester(enrolled, certificate, request, hashlib.sha256(envelope).digest())


def check(registry: Registry, requester: Requester, now_ms: int) -> Order:
    """Steps 3 to 7.

    Raises:
        Refused: naming the step.
    """
    request, role = requester.request, requester.certificate.role
    with _step(3):
        _require_form(requester)
    with _step(4):
        if abs(now_ms - request.sent_ms) > FRESH_MS:
            raise Expired("the request was not sent just now", remedy="check the clocks of both hosts")
    with _step(5):
        ticket = tickets.verify(registry, request.ticket, now_ms)
        _require_ticket_form(ticket)
    with _step(6):
        if ticket.role != role:
            raise OutOfScope("the ticket is for another role")
        requester.enrolled.require(role, ticket.vault)
    with _step(7):
        vault = registry.vault(ticket.vault)
        errands = tuple(_errand(want, ticket, vault, role) for want in request.wants)
    return Order(ticket, vault, errands)


def _require_form(requester: Requester) -> None:
    request = requester.request
    if request.version != REQUEST_VERSION:
        raise Malformed("the request's version is not known here", remedy="use the same release everywhere")
    if request.reply_to != requester.reply_list:
        raise Malformed("the request names another list for its answer than its own")
    if not 1 <= len(request.wants) <= MAX_WANTS:
        raise Malformed(f"a request wants 1 to {MAX_WANTS} keys")
    # Sealing nothing shows whether the process key is one, before a KMS call is spent on it.
    hpke.seal_to(requester.certificate.hpke_public, hpke.info(Domain.KEY_REPLY), b"")


def _require_ticket_form(ticket: Ticket) -> None:
    if any(len(each) != ID_BYTES for each in (ticket.jti, ticket.job, ticket.tenant, ticket.vault)):
        raise Malformed("an id of the ticket has the wrong length")
    if not 1 <= ticket.fence <= MAX_COUNT or not 0 <= ticket.max_unwraps <= MAX_COUNT:
        raise Malformed("a number of the ticket is out of range")


def _errand(want: Want, ticket: Ticket, vault: VaultEntry, role: str) -> Errand:
    if want.operation not in ROLE_OPERATIONS[role]:
        raise OutOfScope("this role may not ask for that operation")
    if want.operation not in ticket.operations:
        raise OutOfScope("the ticket does not cover that operation")
    # The chunk-id key is made once, with its vault: another one would end deduplication.
    purposes = (DEK,) if want.operation == GENERATE else (DEK, CHUNK_ID)
    if want.purpose not in purposes:
        raise OutOfScope("no key of that purpose is given for that operation")
    if not (want.epoch == 0 if want.purpose == CHUNK_ID else 1 <= want.epoch <= MAX_EPOCH):
        raise Malformed("there is no such epoch")
    # What the key belongs to is said by the registry, on whose behalf it is used by the ticket: a KMS that knows both
    # (the session tag of AWS) refuses what a defect in step 5 would let through.
    context = encryption_context(vault.tenant, vault.id, want.purpose, want.epoch)
    if want.operation in (GENERATE, INIT):
        if want.record:
            raise Malformed("a key that is to be made has no record yet")
        return Errand(want, context, None)
    record = canonical.decode(KeyRecord, want.record, limit=MAX_RECORD)
    record.require(ticket.tenant, ticket.vault, want.purpose, want.epoch)
    if (
        len(record.blob) > MAX_WRAPPED_BYTES
        or len(record.key_id) + len(record.material_id) > MAX_KEY_ID_CHARS
    ):
        raise Malformed("the key record holds more than any KMS makes")
    return Errand(want, context, WrappedKey(record.blob, record.key_id, record.material_id))


@contextmanager
def _step(number: int) -> Iterator[None]:
    """Give the errors of one step its number and a refusal code."""
    try:
        yield
    except CryptoError as error:
        raise Refused(number, _code(error), error) from error


def _code(error: CryptoError) -> str:
    if isinstance(error, Expired):
        return "expired"
    if isinstance(error, OutOfScope | HeaderMismatch):
        return "out-of-scope"
    if isinstance(error, Untrusted):
        return "not-trusted"
    return "malformed"
