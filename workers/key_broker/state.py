"""What the key-broker must remember, on its own disk and nowhere else: audit log, nonces, budgets, fences.

SQLite in WAL mode with synchronous=FULL: what was committed survives a power cut. Every change is a transaction
that takes the write lock first, so several broker processes may share the file. None of it is kept in the message
broker, whose owner could roll it back and replay.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from config.errors import StrongroomError
from crypto.certificate import SKEW_MS
from crypto.keyrequest import FRESH_MS
from crypto.ticket import MAX_LIFETIME_MS
from workers.key_broker.audit import (
    GENESIS,
    MAX_ENTRY_BYTES,
    AuditBroken,
    Entry,
    Head,
    Row,
    link,
    verify_chain,
)

SCHEMA_VERSION = 1
BUSY_S = 10.0
"""How long a broker process waits for another one's transaction."""
NONCE_KEPT_MS = 2 * FRESH_MS + SKEW_MS
"""A nonce is kept until its request is too old to be accepted by any clock."""
FENCE_KEPT_MS = 2 * MAX_LIFETIME_MS
"""A fence is kept until every older ticket of its job has expired."""
ENDED_FENCE = 2**63 - 1
"""Stands for the fence of a job that is over: no ticket has so high a one (`checks.MAX_COUNT` is the last)."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS audit (seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, body BLOB NOT NULL,
    link BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS nonces (identity BLOB NOT NULL, nonce BLOB NOT NULL, until_ms INTEGER NOT NULL,
    PRIMARY KEY (identity, nonce)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unwraps (jti BLOB PRIMARY KEY, used INTEGER NOT NULL, until_ms INTEGER NOT NULL)
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fences (job BLOB PRIMARY KEY, fence INTEGER NOT NULL, until_ms INTEGER NOT NULL)
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS nonces_until ON nonces (until_ms);
CREATE INDEX IF NOT EXISTS unwraps_until ON unwraps (until_ms);
CREATE INDEX IF NOT EXISTS fences_until ON fences (until_ms);
"""


class StateError(StrongroomError):
    """The broker's database cannot be used; no key is given without it."""


class NotAdmitted(StrongroomError):
    """A request that is in order by itself, but not after what came before it. `code` is a refusal code."""

    code = ""


class Replayed(NotAdmitted):
    """The same request was seen before."""

    code = "replayed"


class StaleFence(NotAdmitted):
    """A newer attempt of the job has been here already."""

    code = "stale-fence"


class OverBudget(NotAdmitted):
    """The ticket's unwraps are used up."""

    code = "over-budget"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a verified request wants to use up.

    Attributes:
        identity, nonce: who asked and the request's nonce; together used once.
        sent_ms: when it says it was sent.
        jti, max_unwraps, expires_ms: of its ticket.
        job, fence: of its ticket.
        wants: how many keys it asks for.
    """

    identity: bytes
    nonce: bytes
    sent_ms: int
    jti: bytes
    max_unwraps: int
    expires_ms: int
    job: bytes
    fence: int
    wants: int


class BrokerState:
    """The database. Safe for several threads of several processes; open it after the fork.

    Args:
        path: the file; made, owner-only, when missing.

    Raises:
        StateError: it cannot be opened, or has another release's schema.
    """

    def __init__(self, path: Path) -> None:
        self._guard = threading.Lock()
        with _translated():
            # SQLite gives its -wal and -shm files the mode of the file itself.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            with self._transaction():
                version = self._db.execute("PRAGMA user_version").fetchone()[0]
                if version not in (0, SCHEMA_VERSION):
                    raise StateError(
                        f"the key-broker's database has schema {version}", remedy="use a newer release"
                    )
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    def close(self) -> None:
        """Close the database."""
        with self._guard:
            self._db.close()

    def admit(self, claim: Claim, entry: Entry, now_ms: int) -> None:
        """Use up a nonce and the unwraps, note the fence, and write `entry`: all of it or nothing.

        The nonce of a request that is over budget or stale is not used up: repeating it is refused again.

        Raises:
            Replayed, StaleFence, OverBudget: nothing was changed.
            StateError: the database failed.
        """
        with _translated(), self._transaction():
            self._forget(now_ms)
            self._use_nonce(claim)
            self._raise_fence(claim, now_ms)
            self._use_unwraps(claim)
            self._append(entry, now_ms)

    def end_job(self, job: bytes, entry: Entry, now_ms: int) -> bool:
        """Admit no further request of a job, whatever its fence; writes `entry`, unless the job was ended before.

        Returns:
            Whether it is news.

        Raises:
            StateError: the database failed.
        """
        with _translated(), self._transaction():
            row = self._db.execute("SELECT fence FROM fences WHERE job = ?", (job,)).fetchone()
            if row is not None and row[0] == ENDED_FENCE:
                return False
            self._db.execute(
                "INSERT INTO fences VALUES (?, ?, ?) ON CONFLICT (job) DO UPDATE SET fence = excluded.fence,"
                " until_ms = max(until_ms, excluded.until_ms)",
                (job, ENDED_FENCE, now_ms + FENCE_KEPT_MS),
            )
            self._append(entry, now_ms)
            self._count(entry.event, 1)
            return True

    def record(self, entry: Entry, now_ms: int, give_back: Claim | None = None) -> None:
        """Write an audit entry and count its event and code.

        Args:
            give_back: a claim that was admitted and for which no KMS was called: its unwraps are not used up after all.

        Raises:
            StateError: the database failed.
        """
        with _translated(), self._transaction():
            if give_back is not None:
                self._db.execute(
                    "UPDATE unwraps SET used = max(0, used - ?) WHERE jti = ?",
                    (give_back.wants, give_back.jti),
                )
            self._append(entry, now_ms)
            self._count(entry.event, 1)
            self._count("kms_calls", entry.kms_calls)
            if entry.code:
                self._count(f"refused:{entry.code}", 1)

    def counters(self) -> dict[str, int]:
        """Totals over the life of the database: events, refusals by code, KMS calls."""
        with self._guard, _translated():
            return dict(self._db.execute("SELECT name, value FROM counters ORDER BY name"))

    def head(self) -> Head:
        """Where the audit log ends."""
        with self._guard, _translated():
            return self._head()

    def audit(self) -> Iterator[Row]:
        """Every audit entry in order, read in batches so that the broker is not kept waiting.

        Raises:
            AuditBroken: a row holds what the broker never writes.
            StateError: the database failed.
        """
        after = 0
        while True:
            with self._guard, _translated():
                rows = self._db.execute(
                    "SELECT seq, at_ms, body, link FROM audit WHERE seq > ? ORDER BY seq LIMIT 1000", (after,)
                ).fetchall()
            if not rows:
                return
            for row in rows:
                yield Row.read(row)
            after = rows[-1][0]

    def verify_audit(self, head: Head | None = None) -> Head:
        """Walk the whole audit log; see `audit.verify_chain`.

        Raises:
            AuditBroken: it was altered, or does not pass through `head`.
        """
        return verify_chain(self.audit(), head)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._guard:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            finally:
                # Also after a COMMIT that failed; some failures (a full disk) have rolled back by themselves.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def _forget(self, now_ms: int) -> None:
        for table in ("nonces", "unwraps", "fences"):
            self._db.execute(f"DELETE FROM {table} WHERE until_ms < ?", (now_ms,))  # noqa: S608  (names of ours)

    def _use_nonce(self, claim: Claim) -> None:
        done = self._db.execute(
            "INSERT INTO nonces VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (claim.identity, claim.nonce, claim.sent_ms + NONCE_KEPT_MS),
        )
        if done.rowcount != 1:
            raise Replayed("this request was answered before", remedy="make a new request")

    def _raise_fence(self, claim: Claim, now_ms: int) -> None:
        row = self._db.execute("SELECT fence FROM fences WHERE job = ?", (claim.job,)).fetchone()
        if row is not None and row[0] > claim.fence:
            raise StaleFence(
                "a newer attempt of this job has begun", remedy="stop; the newer attempt goes on"
            )
        self._db.execute(
            "INSERT INTO fences VALUES (?, ?, ?) ON CONFLICT (job) DO UPDATE SET fence = excluded.fence,"
            " until_ms = max(until_ms, excluded.until_ms)",
            (claim.job, claim.fence, now_ms + FENCE_KEPT_MS),
        )

    def _use_unwraps(self, claim: Claim) -> None:
        row = self._db.execute("SELECT used FROM unwraps WHERE jti = ?", (claim.jti,)).fetchone()
        used = (row[0] if row is not None else 0) + claim.wants
        if used > claim.max_unwraps:
            raise OverBudget("the ticket's unwraps are used up", remedy="run the command again")
        self._db.execute(
            "INSERT INTO unwraps VALUES (?, ?, ?) ON CONFLICT (jti) DO UPDATE SET used = excluded.used",
            (claim.jti, used, claim.expires_ms),
        )

    def _head(self) -> Head:
        row = self._db.execute(
            "SELECT seq, at_ms, body, link FROM audit ORDER BY seq DESC LIMIT 1"
        ).fetchone()
        if row is None:
            return Head(0, GENESIS)
        try:
            last = Row.read(row)
        except AuditBroken as error:
            raise StateError(error.message, remedy=error.remedy) from error
        return Head(last.seq, last.link)

    def _append(self, entry: Entry, now_ms: int) -> None:
        head, body = self._head(), msgspec.json.encode(entry)
        if len(body) > MAX_ENTRY_BYTES:
            raise StateError(f"an audit entry of {len(body)} bytes is over the limit of {MAX_ENTRY_BYTES}")
        seq = head.count + 1
        self._db.execute(
            "INSERT INTO audit VALUES (?, ?, ?, ?)", (seq, now_ms, body, link(head.link, seq, now_ms, body))
        )

    def _count(self, name: str, by: int) -> None:
        self._db.execute(
            "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name)"
            " DO UPDATE SET value = value + excluded.value",
            (name, by),
        )


@contextmanager
def _translated() -> Iterator[None]:
    """Turn SQLite's and the system's errors into StateError."""
    try:
        yield
    except (sqlite3.Error, OSError, OverflowError) as error:
        # An OSError's own text holds the path.
        what = error.strerror if isinstance(error, OSError) else str(error)
        raise StateError(
            f"the key-broker's database cannot be used: {what}",
            remedy="check the disk that holds STRONGROOM_HOME for space, permissions and damage",
        ) from error
