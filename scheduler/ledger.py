"""The job ledger: one SQLite file on the scheduler's own disk; what is committed there survives a power cut.

WAL with synchronous=FULL. Every change is made inside `transaction()`, which takes the write lock first, so that
several schedulers may share the file. The rules are in `scheduler.lifecycle`; here is only storage.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from scheduler.errors import LedgerError
from scheduler.lifecycle import DONE, INTERRUPTED, Job

SCHEMA_VERSION: Final = 5
BUSY_S: Final = 10.0
"""How long one scheduler waits for another one's transaction."""
MAX_ROWS: Final = 1000
"""No query gives more rows; what is left is there at the next tick."""

_SCHEMA = """
CREATE TABLE jobs (id BLOB PRIMARY KEY, kind TEXT NOT NULL, vault BLOB NOT NULL, operator BLOB NOT NULL,
    detached INTEGER NOT NULL, stack BLOB NOT NULL, schedule TEXT, slot_ms INTEGER, created_ms INTEGER NOT NULL,
    sealed_spec BLOB NOT NULL, lease_until_ms INTEGER NOT NULL, state TEXT NOT NULL, fence INTEGER NOT NULL,
    attempts INTEGER NOT NULL, claimed INTEGER NOT NULL, ticket_until_ms INTEGER NOT NULL,
    give_up_ms INTEGER NOT NULL, heard_ms INTEGER NOT NULL, segments INTEGER NOT NULL, kms_calls INTEGER NOT NULL,
    code TEXT NOT NULL, outcome BLOB NOT NULL, finished_ms INTEGER NOT NULL, tidied INTEGER NOT NULL, tidy_job BLOB,
    host TEXT NOT NULL DEFAULT '', segments_done INTEGER NOT NULL DEFAULT 0,
    committing INTEGER NOT NULL DEFAULT 0,
    barrier INTEGER NOT NULL DEFAULT 0,
    UNIQUE (schedule, slot_ms)) STRICT;
CREATE INDEX jobs_unfinished ON jobs (lease_until_ms) WHERE finished_ms = 0;
CREATE INDEX jobs_untidied ON jobs (finished_ms) WHERE kind = 'backup' AND tidied = 0;
CREATE INDEX jobs_created ON jobs (created_ms);
CREATE TABLE segments (job BLOB NOT NULL, fence INTEGER NOT NULL, n INTEGER NOT NULL,
    PRIMARY KEY (job, fence, n)) WITHOUT ROWID, STRICT;
CREATE TABLE reports (job BLOB NOT NULL, id BLOB NOT NULL, PRIMARY KEY (job, id)) WITHOUT ROWID, STRICT;
CREATE TABLE schedules (name TEXT PRIMARY KEY, rule TEXT NOT NULL, mark_ms INTEGER NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE stacks (id BLOB PRIMARY KEY, alive_ms INTEGER NOT NULL) WITHOUT ROWID, STRICT;
"""

_STEPS = (
    "ALTER TABLE jobs ADD COLUMN host TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE jobs ADD COLUMN segments_done INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE jobs ADD COLUMN committing INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE jobs ADD COLUMN barrier INTEGER NOT NULL DEFAULT 0",
)
"""From each older version to the next."""

_COLUMNS = ", ".join(Job.__struct_fields__)
_PLACES = ", ".join("?" for _ in Job.__struct_fields__)
_SETS = ", ".join(f"{name} = ?" for name in Job.__struct_fields__)
# Only names of this module go into the statements; values are always bound.
_INSERT = f"INSERT INTO jobs ({_COLUMNS}) VALUES ({_PLACES}) ON CONFLICT DO NOTHING"  # noqa: S608
_UPDATE = f"UPDATE jobs SET {_SETS} WHERE id = ?"  # noqa: S608
_SELECT = f"SELECT {_COLUMNS} FROM jobs"  # noqa: S608


class Mark(msgspec.Struct, frozen=True):
    """Up to when the slots of a schedule, or of a retention, are dealt with."""

    rule: str
    """What it was then (`scheduler.slots.rule`)."""
    mark_ms: int


class Ledger:
    """The open file. One thread of one process; open it after the fork.

    Args:
        path: made, owner-only, when missing.

    Raises:
        LedgerError: it cannot be opened, is no ledger, or was made by a newer release.
    """

    def __init__(self, path: Path) -> None:
        with _translated():
            # SQLite gives its -wal and -shm files the mode of the file itself.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
        with self.transaction():
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            elif 1 <= version <= SCHEMA_VERSION:
                for statement in _STEPS[version - 1 :]:
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            else:
                raise LedgerError(
                    f"the ledger has version {version}, this release knows {SCHEMA_VERSION}",
                    remedy="use the release that wrote it, or a newer one",
                )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and nobody else writes meanwhile.

        Raises:
            LedgerError: nothing of it was stored.
        """
        with _translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                # SQLite has rolled back by itself after some errors, such as a full disk.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def insert(self, job: Job) -> bool:
        """Store a new job; False when its id, or its slot of its schedule, is there already."""
        with _translated():
            done = self._db.execute(_INSERT, msgspec.structs.astuple(job))
            return done.rowcount == 1

    def update(self, job: Job) -> None:
        """Store a changed job, inside the transaction in which it was read."""
        with _translated():
            self._db.execute(_UPDATE, (*msgspec.structs.astuple(job), job.id))

    def get(self, job: bytes) -> Job | None:
        """The job of that id, if there is one."""
        found = self._jobs("id = ?", (job,))
        return found[0] if found else None

    def due(self, stack: bytes, now_ms: int) -> list[Job]:
        """The unfinished jobs of a stack whose lease is over."""
        return self._jobs(
            "finished_ms = 0 AND lease_until_ms <= ? AND stack = ? ORDER BY lease_until_ms", (now_ms, stack)
        )

    def newest(self, limit: int) -> list[Job]:
        """The jobs that were made last, newest first."""
        return self._jobs("1 ORDER BY created_ms DESC, rowid DESC", (), limit)

    def latest(self, kind: str, vault: bytes) -> Job | None:
        """The job of a kind that was made last for a vault."""
        found = self._jobs("kind = ? AND vault = ? ORDER BY created_ms DESC, rowid DESC", (kind, vault), 1)
        return found[0] if found else None

    def last_of(self, schedule: str) -> Job | None:
        """The job of a schedule's newest slot."""
        found = self._jobs("schedule = ? ORDER BY slot_ms DESC", (schedule,), 1)
        return found[0] if found else None

    def is_running(self, schedule: str) -> bool:
        """Whether a job of a schedule is unfinished."""
        # The plus keeps SQLite from walking all that the schedule ever did: few jobs are unfinished.
        return bool(self._jobs("finished_ms = 0 AND +schedule = ?", (schedule,), 1))

    def of_slot(self, schedule: str, slot_ms: int) -> Job | None:
        """The job of one slot of a schedule."""
        found = self._jobs("schedule = ? AND slot_ms = ?", (schedule, slot_ms), 1)
        return found[0] if found else None

    def follower(self, job: Job) -> Job | None:
        """The job without a slot that was made for the same schedule after `job`, if there is one."""
        where = "schedule = ? AND slot_ms IS NULL AND rowid > (SELECT rowid FROM jobs WHERE id = ?) ORDER BY rowid"
        found = self._jobs(where, (job.schedule, job.id), 1)
        return found[0] if found else None

    def others(self, job: Job, kinds: Sequence[str], heard_since_ms: int | None = None) -> bool:
        """Whether there are other unfinished jobs of these kinds in its queue (that were heard of lately)."""
        places = ", ".join("?" for _ in kinds)
        where = f"finished_ms = 0 AND stack = ? AND host = ? AND id != ? AND kind IN ({places})"
        values = (job.stack, job.host, job.id, *kinds, heard_since_ms or 0)
        return bool(self._jobs(f"{where} AND heard_ms >= ?", values, 1))

    def unfinished_of(self, vault: bytes, kinds: Sequence[str]) -> list[Job]:
        """The unfinished jobs of these kinds for a vault, of whatever stack, oldest first."""
        places = ", ".join("?" for _ in kinds)
        return self._jobs(
            f"finished_ms = 0 AND vault = ? AND kind IN ({places}) ORDER BY rowid", (vault, *kinds)
        )

    def began_before(self, barrier: int, vault: bytes, kinds: Sequence[str]) -> bool:
        """Whether a job of these kinds is unfinished that was in the ledger when `newest_row` was `barrier`."""
        places = ", ".join("?" for _ in kinds)
        where = f"finished_ms = 0 AND rowid <= ? AND vault = ? AND kind IN ({places})"
        return bool(self._jobs(where, (barrier, vault, *kinds), 1))

    def newest_row(self) -> int:
        """A number that every job which is inserted later exceeds, whatever the clock says."""
        with _translated():
            return int(self._db.execute("SELECT max(rowid) FROM jobs").fetchone()[0] or 0)

    def parked(self, stack: bytes) -> list[Job]:
        """The prunes of a stack that have marked and wait."""
        return self._jobs("finished_ms = 0 AND stack = ? AND barrier > 0 ORDER BY rowid", (stack,))

    def ended_since(self, kind: str, vault: bytes, since_ms: int, limit: int) -> list[bytes]:
        """Ids of the jobs of a kind that ended since then, the latest first."""
        query = (
            "SELECT id FROM jobs WHERE kind = ? AND vault = ? AND finished_ms >= ? AND finished_ms > 0"
            " ORDER BY finished_ms DESC LIMIT ?"
        )
        with _translated():
            return [bytes(row[0]) for row in self._db.execute(query, (kind, vault, since_ms, limit))]

    def oldest_ms(self, vault: bytes) -> int | None:
        """When the oldest job of a vault was made that is remembered."""
        with _translated():
            row = self._db.execute("SELECT min(created_ms) FROM jobs WHERE vault = ?", (vault,)).fetchone()
        return None if row is None or row[0] is None else int(row[0])

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        with _translated():
            return dict(self._db.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())

    def scheduled_counts(self) -> dict[str, dict[str, int]]:
        """The same of those that nobody asked for but a schedule, for each kind."""
        query = "SELECT kind, state, count(*) FROM jobs WHERE schedule IS NOT NULL GROUP BY kind, state"
        counts: dict[str, dict[str, int]] = {}
        with _translated():
            for kind, state, count in self._db.execute(query):
                counts.setdefault(kind, {})[state] = count
        return counts

    def first_time(self, job: bytes, report: bytes) -> bool:
        """Remember a report's id; False when it was there already."""
        with _translated():
            done = self._db.execute("INSERT INTO reports VALUES (?, ?) ON CONFLICT DO NOTHING", (job, report))
            return done.rowcount == 1

    def add_segment(self, job: bytes, fence: int, n: int) -> bool:
        """Remember that segment `n` is done in the attempt `fence`; False when that was known."""
        query = "INSERT INTO segments VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
        with _translated():
            return self._db.execute(query, (job, fence, n)).rowcount == 1

    def count_segments(self, job: bytes, fence: int, below: int) -> int:
        """How many segments with a number below `below` are done in the attempt `fence`."""
        query = "SELECT count(*) FROM segments WHERE job = ? AND fence = ? AND n < ?"
        with _translated():
            return int(self._db.execute(query, (job, fence, below)).fetchone()[0])

    def forget_details(self, job: bytes) -> None:
        """Drop what is only needed while a job runs: its reports and segments."""
        with _translated():
            self._db.execute("DELETE FROM reports WHERE job = ?", (job,))
            self._db.execute("DELETE FROM segments WHERE job = ?", (job,))

    def forget_jobs(self, finished_before_ms: int) -> None:
        """Drop jobs that ended long ago and have nothing left to tidy."""
        with _translated():
            self._db.execute(
                "DELETE FROM jobs WHERE finished_ms > 0 AND finished_ms < ? AND (kind != 'backup' OR tidied = 1)",
                (finished_before_ms,),
            )

    def mark(self, schedule: str) -> Mark | None:
        """Up to when a schedule is dealt with; None when it was never seen."""
        with _translated():
            row = self._db.execute(
                "SELECT rule, mark_ms FROM schedules WHERE name = ?", (schedule,)
            ).fetchone()
        return None if row is None else Mark(*row)

    def set_mark(self, schedule: str, mark: Mark) -> None:
        """Remember up to when a schedule is dealt with."""
        with _translated():
            self._db.execute("REPLACE INTO schedules VALUES (?, ?, ?)", (schedule, mark.rule, mark.mark_ms))

    def beat(self, stack: bytes, now_ms: int) -> None:
        """Remember that a stack is alive."""
        with _translated():
            self._db.execute("REPLACE INTO stacks VALUES (?, ?)", (stack, now_ms))

    def leave(self, stack: bytes) -> None:
        """Remember that a stack is gone."""
        with _translated():
            self._db.execute("DELETE FROM stacks WHERE id = ?", (stack,))

    def forget_stacks(self, alive_before_ms: int) -> None:
        """Drop stacks that gave no sign of life for long."""
        with _translated():
            self._db.execute("DELETE FROM stacks WHERE alive_ms < ?", (alive_before_ms,))

    def unfinished(self, stack: bytes) -> list[Job]:
        """The unfinished jobs of a stack."""
        return self._jobs("finished_ms = 0 AND stack = ?", (stack,))

    def orphans(self, stack: bytes) -> list[Job]:
        """The unfinished jobs of stacks that are neither `stack` nor alive."""
        where = "finished_ms = 0 AND stack != ? AND stack NOT IN (SELECT id FROM stacks)"
        return self._jobs(where, (stack,))

    def untidied(self, settled_ms: int, retry_ms: int) -> list[Job]:
        """Ended backups whose working objects may still be there, and that no unfinished tidy job deals with.

        Args:
            settled_ms: one that did not end well must have ended before.
            retry_ms: a tidy job that failed must have failed before, to be tried again.
        """
        return self._jobs(
            "kind = 'backup' AND tidied = 0 AND finished_ms > 0 AND (state = ? OR finished_ms <= ?)"
            " AND NOT EXISTS (SELECT 1 FROM jobs AS tidy WHERE tidy.id = jobs.tidy_job"
            " AND (tidy.finished_ms = 0 OR (tidy.finished_ms > ? AND tidy.code != ?)))"
            " ORDER BY vault, finished_ms",
            (DONE, settled_ms, retry_ms, INTERRUPTED),
        )

    def set_tidied(self, tidy_job: bytes) -> None:
        """Remember that a tidy job has done its work."""
        with _translated():
            self._db.execute("UPDATE jobs SET tidied = 1 WHERE kind = 'backup' AND tidy_job = ?", (tidy_job,))

    def _jobs(self, where: str, values: tuple[object, ...], limit: int = MAX_ROWS) -> list[Job]:
        with _translated():
            rows = self._db.execute(f"{_SELECT} WHERE {where} LIMIT {limit:d}", values).fetchall()
        try:
            return [msgspec.convert(row, Job, strict=False) for row in rows]
        except msgspec.ValidationError as error:
            raise LedgerError(
                f"a row of the ledger is no job: {error}", remedy="restore the ledger"
            ) from error


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise LedgerError(
            f"the ledger cannot be used: {error}", remedy="check the disk that holds STRONGROOM_HOME"
        ) from error
    except sqlite3.DatabaseError as error:
        raise LedgerError(
            f"the ledger is damaged: {error}",
            remedy="move ledger.db away: snapshots do not depend on it, running jobs and history are lost",
        ) from error
    except OSError as error:
        raise LedgerError(
            f"the ledger cannot be opened: {error.strerror}", remedy="check the owner of STRONGROOM_HOME"
        ) from error
