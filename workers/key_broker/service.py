"""The key-broker's one act: bytes in; all checks; at most the KMS calls they allow; sealed, signed bytes out.

Order of things, whatever happens: checks 1 to 8 (`checks`, `state`), an audit entry, the KMS, an audit entry,
the reply. Nothing here knows of Celery, and nothing here logs or audits more than opaque ids and codes.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from config.errors import StrongroomError
from config.settings import WorkerSettings
from crypto import canonical
from crypto import ticket as tickets
from crypto.errors import CryptoError
from crypto.identity import Identity
from crypto.keyrecord import RECORD_VERSION, KeyRecord
from crypto.keyrequest import Given, KeyReply, Refusal, seal_key
from crypto.kms.errors import KmsError
from crypto.kms.provider import WrappedKey
from crypto.registry import Registry, VaultEntry
from crypto.secret import SecretKey
from crypto.signing import Domain, Signed
from crypto.ticket import INIT
from workers.key_broker.audit import ADMITTED, ENDED, GRANTED, NOISE, REFUSED, Entry
from workers.key_broker.breaker import CircuitOpen
from workers.key_broker.checks import Errand, Order, Refused, Requester, check, identify
from workers.key_broker.gateway import Counters, KmsGateway, RateLimited, Visit
from workers.key_broker.limits import Rate, TokenBucket
from workers.key_broker.seats import Seats
from workers.key_broker.state import BrokerState, Claim, NotAdmitted, StateError
from workers.redact import frames_only

logger = logging.getLogger(__name__)

THREADS = WorkerSettings().keys_threads
STATE_STEP = 8
NOISE_RATE = Rate(per_second=1.0, burst=200)
"""Audit entries for requesters that cannot be told: anybody who can write to the queue causes them, and without a
limit they would fill the broker's disk. What is over it is counted, and the next such entry says how many."""
UNWRITABLE = "kms-unavailable"
"""The refusal code when the broker's own database fails: no key is given that the audit log does not show."""
DEFECT = UNWRITABLE


class Answer(NamedTuple):
    """A reply (canonical `Signed`) and the list it goes to."""

    reply_list: str
    reply: bytes


class Status(msgspec.Struct, frozen=True):
    """What the broker tells of itself: counts, and where its audit log ends.

    Attributes:
        gateway: of this process since it began.
        totals: over the life of the broker's database.
        audit_entries, audit_head: number of entries and the chain's value (hex); noted elsewhere, it shows cuts.
    """

    gateway: Counters
    totals: dict[str, int]
    audit_entries: int
    audit_head: str


@dataclass(frozen=True, slots=True)
class ServiceParts:
    """What a key service is put together from.

    Attributes:
        identity: the broker's own, which signs the replies.
        registry: gives the current registry; raises StrongroomError when it cannot be read.
        state: the broker's database.
        gateway: the way to the KMS.
        seats: how many requests of a tenant may be under way.
    """

    identity: Identity
    registry: Callable[[], Registry]
    state: BrokerState
    gateway: KmsGateway
    seats: Seats = field(default_factory=lambda: Seats(THREADS))


class KeyService:
    """Answers key requests. Safe for several threads.

    Args:
        parts: see ServiceParts.
    """

    def __init__(self, parts: ServiceParts) -> None:
        self._parts = parts
        self._noise = TokenBucket(NOISE_RATE)
        self._guard = threading.Lock()
        self._suppressed = 0

    def answer(self, envelope: bytes, now_ms: int) -> Answer | None:
        """Answer one request.

        Args:
            envelope: what claims to be a canonical `ProcessSigned` key request; any bytes at all.
            now_ms: the wall clock, ms since epoch.

        Returns:
            A signed reply, with sealed keys or with a typed refusal; None (silence) for a requester that cannot
            be told from noise. Never raises on account of `envelope`.
        """
        try:
            registry = self._parts.registry()
        except StrongroomError as error:
            # Nobody is trusted until the file can be read, rather than those whom it named before.
            logger.warning("no request can be answered: %s", error.message)
            self._note_noise(Refused(2, "malformed", error), envelope, now_ms)
            return None
        try:
            requester = identify(registry, envelope, now_ms)
        except Refused as refused:
            self._note_noise(refused, envelope, now_ms)
            return None
        return Answer(requester.reply_list, self._reply(registry, requester, now_ms))

    def end_job(self, said: bytes, now_ms: int) -> None:
        """Give no further key for a job of which the scheduler says that it is over.

        Args:
            said: what claims to be a canonical `Signed` of `crypto.ticket.end`; any bytes at all.
            now_ms: the wall clock, ms since epoch.
        """
        try:
            job = tickets.verify_end(self._parts.registry(), canonical.decode(Signed, said))
        except StrongroomError as error:
            logger.warning("a job's end is not believed: %s", error.message)
            return
        entry = Entry(ENDED, hashlib.sha256(said).hexdigest(), job=job.hex())
        try:
            self._parts.state.end_job(job, entry, now_ms)
        except StateError as error:
            logger.warning("the end of a job could not be kept: %s", error.message)

    def status(self) -> Status:
        """Counters for `strongroom status`.

        Raises:
            StateError: the database failed.
        """
        head = self._parts.state.head()
        return Status(self._parts.gateway.counters, self._parts.state.counters(), head.count, head.link.hex())

    def close(self) -> None:
        """Close the broker's database; nothing is answered afterwards."""
        self._parts.state.close()

    def _reply(self, registry: Registry, requester: Requester, now_ms: int) -> bytes:
        """Steps 3 to 8, the keys, the audit log; a signed reply whatever comes of it."""
        entry = _entry_of(requester)
        try:
            order = check(registry, requester, now_ms)
        except Refused as refused:
            return self._refuse(requester, entry, refused.step, _refusal(refused.code, refused), now_ms)
        entry = _entry_of(requester, order)
        try:
            # Before anything is used up: who has to come again brings a new nonce, and the unwraps are for keys.
            with self._parts.seats.taken(order.ticket.tenant):
                return self._serve(requester, order, entry, now_ms)
        except RateLimited as full:
            return self._refuse(requester, entry, 0, _refusal(full.code, full, retryable=True), now_ms)

    def _serve(self, requester: Requester, order: Order, entry: Entry, now_ms: int) -> bytes:
        """Step 8, the keys, the audit log; never raises."""
        claim = _claim(requester, order)
        try:
            self._parts.state.admit(claim, entry, now_ms)
        except NotAdmitted as refused:
            return self._refuse(requester, entry, STATE_STEP, _refusal(refused.code, refused), now_ms)
        except StateError as error:
            return self._refuse(requester, entry, STATE_STEP, _unwritable(error), now_ms)
        visit, unused = self._parts.gateway.begin(order.ticket.tenant), None
        try:
            given = self._fetch_all(visit, requester, order, now_ms)
            granted = msgspec.structs.replace(_entry_with(entry, visit), event=GRANTED)
            self._parts.state.record(granted, now_ms)
        except StateError as error:
            refusal = _unwritable(error)
        except KmsError as error:
            refusal = _refusal(error.code, error, retryable=error.retryable)
            # A call that was made counts, whatever came of it: who makes calls fail must not have more of them.
            unused = claim if isinstance(error, CircuitOpen) and not visit.calls else None
        except CryptoError as error:
            refusal = _refusal("malformed", error)
        except Exception as error:  # noqa: BLE001  (what was admitted ends in the audit log, and is answered)
            logger.error("a defect: %s", frames_only(error))  # noqa: TRY400  (its text may hold an answer of the KMS)
            refusal = Refusal(DEFECT, "the key-broker failed", "see key-broker.log on its host", True)
        else:
            return self._sign(KeyReply(requester.digest, given, None, visit.calls))
        return self._refuse(requester, _entry_with(entry, visit), 0, refusal, now_ms, unused)

    def _fetch_all(self, visit: Visit, requester: Requester, order: Order, now_ms: int) -> tuple[Given, ...]:
        return tuple(self._fetch(visit, requester, order.vault, errand, now_ms) for errand in order.errands)

    def _fetch(
        self, visit: Visit, requester: Requester, vault: VaultEntry, errand: Errand, now_ms: int
    ) -> Given:
        """One key, sealed to the process that asked; its plaintext is wiped before this returns."""
        want, gateway = errand.want, self._parts.gateway
        if errand.wrapped is not None:
            key, record = gateway.decrypt(visit, vault.kms, errand.wrapped, errand.context), b""
        else:
            if want.operation == INIT:
                gateway.create_missing(visit, vault.kms)
            made = gateway.generate(visit, vault.kms, errand.context)
            key, record = made.plaintext, canonical.encode(_record(vault, errand, made.wrapped, now_ms))
        try:
            return Given(want.purpose, want.epoch, self._seal(requester, errand, key), record)
        finally:
            key.wipe()

    def _seal(self, requester: Requester, errand: Errand, key: SecretKey) -> bytes:
        to, broker = requester.certificate.hpke_public, self._parts.identity.id
        return seal_key(key, to, requester.digest, broker, errand.want.purpose, errand.want.epoch)

    def _refuse(
        self,
        requester: Requester,
        entry: Entry,
        step: int,
        refusal: Refusal,
        now_ms: int,
        unused: Claim | None = None,
    ) -> bytes:
        refused = msgspec.structs.replace(entry, event=REFUSED, code=refusal.code, step=step)
        logger.warning("refused request %s: %s (step %d)", entry.request[:16], refusal.code, step)
        try:
            self._parts.state.record(refused, now_ms, unused)
        except StateError as error:
            # Nothing was given, so the refusal may go out all the same.
            logger.warning("a refusal could not be audited: %s", error.message)
        return self._sign(KeyReply(requester.digest, (), refusal, entry.kms_calls))

    def _sign(self, reply: KeyReply) -> bytes:
        return canonical.encode(self._parts.identity.sign(Domain.KEY_REPLY, reply))

    def _note_noise(self, refused: Refused, envelope: bytes, now_ms: int) -> None:
        with self._guard:
            if self._noise.reserve(0.0) is None:
                self._suppressed += 1
                return
            suppressed, self._suppressed = self._suppressed, 0
        digest = hashlib.sha256(envelope).hexdigest()
        logger.warning("ignored message %s: %s (step %d)", digest[:16], refused.code, refused.step)
        entry = Entry(NOISE, digest, code=refused.code, step=refused.step, suppressed=suppressed)
        try:
            self._parts.state.record(entry, now_ms)
        except StateError as error:
            logger.warning("an ignored message could not be audited: %s", error.message)


def _entry_of(requester: Requester, order: Order | None = None) -> Entry:
    """The audit entry of an admitted request; before steps 3 to 7 hold, of what is known of it."""
    known = Entry(
        ADMITTED,
        requester.digest.hex(),
        identity=requester.enrolled.id.hex(),
        role=requester.certificate.role,
    )
    if order is None:
        return known
    ticket = order.ticket
    return msgspec.structs.replace(
        known,
        jti=ticket.jti.hex(),
        job=ticket.job.hex(),
        fence=ticket.fence,
        tenant=ticket.tenant.hex(),
        vault=ticket.vault.hex(),
        wants=tuple(f"{each.want.operation} {each.want.purpose} {each.want.epoch}" for each in order.errands),
    )


def _entry_with(entry: Entry, visit: Visit) -> Entry:
    """The entry with what the request asked of the KMS."""
    return msgspec.structs.replace(entry, kms_calls=visit.calls, kms_requests=tuple(visit.kms_requests))


def _claim(requester: Requester, order: Order) -> Claim:
    request, ticket = requester.request, order.ticket
    return Claim(
        identity=requester.enrolled.id,
        nonce=request.nonce,
        sent_ms=request.sent_ms,
        jti=ticket.jti,
        max_unwraps=ticket.max_unwraps,
        expires_ms=ticket.expires_ms,
        job=ticket.job,
        fence=ticket.fence,
        wants=len(request.wants),
    )


def _record(vault: VaultEntry, errand: Errand, wrapped: WrappedKey, now_ms: int) -> KeyRecord:
    want = errand.want
    return KeyRecord(
        RECORD_VERSION,
        vault.tenant,
        vault.id,
        want.purpose,
        want.epoch,
        wrapped.key_id,
        wrapped.material_id,
        wrapped.blob,
        now_ms,
    )


def _refusal(code: str, error: StrongroomError, *, retryable: bool = False) -> Refusal:
    return Refusal(code, error.message, error.remedy, retryable)


def _unwritable(error: StateError) -> Refusal:
    """The database's own message names a path of the broker's host; the requester gets none of it."""
    logger.warning("no key is given: %s", error.message)
    return Refusal(UNWRITABLE, "the key-broker cannot write its audit log", error.remedy, True)
