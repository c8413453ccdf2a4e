"""A worker's way to a key: its cache first, then the key-broker, which alone can reach the KMS."""

import logging
import os
import random
import time
from collections.abc import Callable

from config.errors import StrongroomError
from config.queues import UNWRAP, reply_list
from crypto import canonical
from crypto.certificate import ProcessKeys
from crypto.dek_cache import Slot
from crypto.errors import KeyRefused, Malformed, OutOfScope, SealBroken, Untrusted
from crypto.keyrecord import CHUNK_ID, DEK, KeyRecord
from crypto.keyrequest import REQUEST_VERSION, KeyRequest, Want, open_reply, request_digest
from crypto.secret import SecretKey
from crypto.signing import Domain, Signed
from crypto.ticket import DECRYPT, ENCRYPT
from repository.errors import ObjectExists
from repository.store import ReadStore, WriteStore
from repository.vault import read_key_record, write_key_record
from workers.admission import Job
from workers.process import Process, now_ms

ANSWER_S = 12.0
"""How long one request may take; the broker's own deadline for the KMS is shorter."""
DEADLINE_S = 40.0
"""How long a key is asked for, all tries together."""
FIRST_PAUSE_S = 0.5
LAST_PAUSE_S = 5.0
MAX_REPLY = 1 << 20
MIN_LEFT_S = 5.0
"""A cached key with less time left is asked for anew, so that it does not end in the middle of a chunk."""
SWITCHED_OFF = frozenset(
    {
        "kms-key-disabled",
        "kms-key-pending-deletion",
        "kms-key-not-found",
        "kms-key-unusable",
        "kms-access-denied",
    }
)
"""Refusals that mean that the customer has taken the key away."""
SPENT = "over-budget"
"""The refusal when asking itself has used up the ticket."""

logger = logging.getLogger(__name__)

Send = Callable[..., None]
"""`send(task, *args, expires_s=...)`: wakes a role."""
OnWait = Callable[[StrongroomError, float], None]
"""Told why a key is asked for again, and for how many seconds more; before each pause."""


def _untold(_error: StrongroomError, _left_s: float) -> None:
    """Nobody is told."""


class KeyBrokerSilent(StrongroomError):
    """The key-broker did not answer in time; the job is tried again later."""


class VaultKeys:
    """The keys of one job's vault, as far as its ticket covers them (`repository.access.KeyRing`).

    Args:
        process: of the worker.
        job: whose ticket is shown to the key-broker.
        store: where the wrapped keys are.
        send: how to wake the key-broker.
        sealing_epoch: the epoch whose DEK is asked for to encrypt; all others only to decrypt.
    """

    def __init__(
        self, process: Process, job: Job, store: ReadStore, send: Send, sealing_epoch: int | None = None
    ) -> None:
        self._process = process
        self._job = job
        self._store = store
        self._send = send
        self.sealing_epoch = sealing_epoch
        self.on_wait: OnWait = _untold
        self._calls = 0

    def dek(self, epoch: int) -> SecretKey:
        """The DEK of an epoch.

        Raises:
            KeyRefused, KeyBrokerSilent: see `_ask`.
            OutOfScope: the ticket does not allow it, whatever is in the cache.
            ObjectMissing: the repository has no such epoch.
        """
        return self._key(DEK, epoch, self._operation(epoch))

    def chunk_id_key(self) -> SecretKey:
        """The vault's chunk-id key; errors as for `dek`."""
        return self._key(CHUNK_ID, 0, self._operation(self.sealing_epoch))

    def create(self, store: WriteStore, purpose: str, epoch: int, operation: str) -> SecretKey:
        """Have a new key generated and store its wrapped form; if another was faster, its key is used.

        Args:
            operation: `generate`, or `init` for a vault's first keys.
        """
        slot = self._slot(purpose, epoch, ENCRYPT)

        def fetch() -> SecretKey:
            key, record = self._ask(Want(operation, purpose, epoch, b""))
            made = canonical.decode(KeyRecord, record)
            made.require(*self._job.vault, purpose, epoch)
            try:
                write_key_record(store, made)
            except ObjectExists:
                key.wipe()
                return self._unwrap(purpose, epoch, ENCRYPT)
            return key

        return self._process.cache.get(slot, fetch)

    def charge(self, epoch: int, messages: int, byte_count: int) -> None:
        """Count what a DEK has sealed or opened; at its limit the cache asks for it again."""
        self._process.cache.charge(self._slot(DEK, epoch, self._operation(epoch)), messages, byte_count)

    def take_calls(self) -> int:
        """KMS calls that this job caused through this object since the last time this was asked."""
        calls, self._calls = self._calls, 0
        return calls

    def _operation(self, epoch: int | None) -> str:
        return DECRYPT if self.sealing_epoch is None or epoch != self.sealing_epoch else ENCRYPT

    def _key(self, purpose: str, epoch: int, operation: str) -> SecretKey:
        if operation not in self._job.ticket.operations:
            raise OutOfScope(f"the job's ticket does not allow to {operation}")
        return self._process.cache.get(
            self._slot(purpose, epoch, operation),
            lambda: self._unwrap(purpose, epoch, operation),
            min_left_s=MIN_LEFT_S,
        )

    def _slot(self, purpose: str, epoch: int, operation: str) -> Slot:
        tenant, vault = self._job.vault
        return Slot(tenant, vault, purpose, epoch, operation)

    def _unwrap(self, purpose: str, epoch: int, operation: str) -> SecretKey:
        record = read_key_record(self._store, self._job.vault, purpose, epoch)
        return self._ask(Want(operation, purpose, epoch, canonical.encode(record)))[0]

    def _ask(self, want: Want) -> tuple[SecretKey, bytes]:
        """Ask until there is an answer that is final, or the deadline is over.

        Raises:
            KeyRefused: the broker said no. If it is the customer's KMS that says so, the cached keys go at once.
            KeyBrokerSilent: it said nothing.
        """
        deadline, pause_s = time.monotonic() + DEADLINE_S, FIRST_PAUSE_S
        why: KeyRefused | KeyBrokerSilent | None = None
        while True:
            try:
                answer = self._ask_once(want)
                if answer is not None:
                    return answer
                why = KeyBrokerSilent(
                    "the key-broker does not answer", remedy="see `strongroom status` and key-broker.log"
                )
            except KeyRefused as refusal:
                if refusal.code in SWITCHED_OFF:
                    self._process.cache.revoke(*self._job.vault)
                if refusal.code == SPENT and why is not None:
                    # What the tries were spent on is the cause; and another attempt has a ticket of its own.
                    raise why from refusal
                if not refusal.retryable:
                    raise
                why = refusal
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise why
            self.on_wait(why, left_s)
            # Many processes ask at once: apart, and ever more seldom.
            time.sleep(min(left_s, random.uniform(pause_s / 2, pause_s)))  # noqa: S311 - spreads load, hides nothing
            pause_s = min(LAST_PAUSE_S, pause_s * 2)

    def _ask_once(self, want: Want) -> tuple[SecretKey, bytes] | None:
        process = self._process
        keys = process.keys()
        nonce = os.urandom(16)
        reply_to = reply_list(process.station, nonce)
        body = KeyRequest(REQUEST_VERSION, self._job.signed_ticket, (want,), nonce, now_ms(), reply_to)
        request = keys.sign(Domain.KEY_REQUEST, body)
        self._send(UNWRAP, canonical.to_text(canonical.encode(request)), expires_s=ANSWER_S)
        deadline = time.monotonic() + ANSWER_S
        while (left := deadline - time.monotonic()) > 0:
            answer = process.lists.wait(reply_to, left)
            if answer is None:
                break
            try:
                return self._open(want, answer, request_digest(request), keys)
            except (Malformed, Untrusted, SealBroken) as error:
                # Anybody who can write to the list can put junk there; the broker's own answer may yet come.
                logger.warning("ignored what is no answer of the key-broker: %s", error.message)
        return None

    def _open(self, want: Want, answer: bytes, request: bytes, keys: ProcessKeys) -> tuple[SecretKey, bytes]:
        signed = canonical.decode(Signed, answer, limit=MAX_REPLY)
        reply, opened = open_reply(self._process.registry(), signed, request, keys.opening)
        self._calls += reply.kms_calls
        if [(given.purpose, given.epoch) for given in reply.given] != [(want.purpose, want.epoch)]:
            raise Untrusted("the key-broker's answer holds other keys than were asked for")
        return opened[0], reply.given[0].record
