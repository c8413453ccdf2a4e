"""The audit log's entries and the chain that ties each to all before it.

The chain shows alteration, removal and reordering of entries. Cutting off the newest ones, or rewriting all
of them, shows only against a head that was noted elsewhere: the broker publishes its head with its status for
that purpose.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from config.errors import StrongroomError

GENESIS = bytes(32)
MAX_ENTRY_BYTES = 64 * 1024
_DOMAIN = b"strongroom/audit/v1"
_TAMPERED = "treat the broker's disk as tampered with"

NOISE = "noise"
ADMITTED = "admitted"
GRANTED = "granted"
REFUSED = "refused"
ENDED = "ended"


class AuditBroken(StrongroomError):
    """The audit log was altered, or does not reach the head it should."""


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the audit log: opaque ids and codes, never a key, a name or a path.

    Attributes:
        event: ADMITTED (written before any KMS call), GRANTED or REFUSED (before the reply), NOISE (a
            requester that cannot be told), ENDED (the scheduler said that a job is over).
        code: why not; a refusal code of `crypto.keyrequest`; "" when granted.
        step: the number of the verification step that refused; 0 when the KMS did, or nobody.
        request: SHA-256 of the request's bytes, hex.
        identity, role, jti, job, tenant, vault: who and for what, hex ids, as far as it was verified.
        fence: attempt number of the job.
        wants: one `operation purpose epoch` for each key.
        kms_calls: calls that this request caused.
        kms_requests: the ids that the KMS gave to its calls; they find them in the KMS's own log (CloudTrail).
        suppressed: noise that was counted but not written since the last entry.
    """

    event: str
    request: str
    code: str = ""
    step: int = 0
    identity: str = ""
    role: str = ""
    jti: str = ""
    job: str = ""
    fence: int = 0
    tenant: str = ""
    vault: str = ""
    wants: tuple[str, ...] = ()
    kms_calls: int = 0
    kms_requests: tuple[str, ...] = ()
    suppressed: int = 0


class Row(msgspec.Struct, frozen=True):
    """An entry as it is stored: numbered from 1, with ms since epoch, JSON, and the chain's value after it."""

    seq: int
    at_ms: int
    body: bytes
    link: bytes

    @classmethod
    def read(cls, row: tuple[object, ...]) -> Row:
        """A row as the database gives it: SQLite keeps whatever types somebody else writes into it.

        Raises:
            AuditBroken: its values are not of the types that the broker writes.
        """
        match row:
            case (int(seq), int(at_ms), bytes(body), bytes(link)) if at_ms >= 0 and seq > 0:
                return cls(seq, at_ms, body, link)
        raise AuditBroken(f"an audit entry was altered: {row[0]}", remedy=_TAMPERED)

    def entry(self) -> Entry:
        """The entry itself.

        Raises:
            AuditBroken: its bytes are not one.
        """
        try:
            return msgspec.json.decode(self.body, type=Entry)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise AuditBroken(f"audit entry {self.seq} cannot be read") from error


class Head(msgspec.Struct, frozen=True):
    """Where the log ends: how many entries, and the chain's value after the last."""

    count: int
    link: bytes


def link(previous: bytes, seq: int, at_ms: int, body: bytes) -> bytes:
    """The chain's next value: SHA-256 of domain, previous value, number, time and entry."""
    return hashlib.sha256(
        b"".join((_DOMAIN, previous, seq.to_bytes(8, "big"), at_ms.to_bytes(8, "big"), body))
    ).digest()


def verify_chain(rows: Iterable[Row], head: Head | None = None) -> Head:
    """Walk the whole log.

    Args:
        rows: every entry in order.
        head: one noted earlier; the log must pass through it.

    Returns:
        Where the log ends now.

    Raises:
        AuditBroken: naming the first entry that is missing or does not follow from the one before.
    """
    at = Head(0, GENESIS)
    passed = head is None or head == at
    for row in rows:
        if row.seq != at.count + 1:
            raise AuditBroken(f"audit entry {at.count + 1} is missing", remedy=_TAMPERED)
        if row.link != link(at.link, row.seq, row.at_ms, row.body):
            raise AuditBroken(f"audit entry {row.seq} was altered", remedy=_TAMPERED)
        at = Head(row.seq, row.link)
        passed = passed or at == head
    if not passed:
        raise AuditBroken(
            "the audit log does not contain the head that was noted",
            remedy=_TAMPERED,
        )
    return at
