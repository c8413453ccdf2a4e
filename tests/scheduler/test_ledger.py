import os
import sqlite3
from pathlib import Path

import msgspec
import pytest

from scheduler.errors import LedgerError
from scheduler.ledger import SCHEMA_VERSION, Ledger
from tests.scheduler.world import NOW, World


def test_a_job_comes_back_as_it_was_stored(world: World) -> None:
    stored = world.job(world.submit(detached=True))
    again = Ledger(world.folder / "ledger.db")
    assert again.get(stored.id) == stored
    again.close()


def test_the_file_is_the_owners_alone(world: World) -> None:
    world.submit()
    names = {path.name: path.stat().st_mode & 0o777 for path in world.folder.iterdir()}
    assert names == {"ledger.db": 0o600, "ledger.db-wal": 0o600, "ledger.db-shm": 0o600}


def test_what_is_not_committed_never_happened(world: World) -> None:
    stored = world.job(world.submit())

    def half_of_it() -> None:
        with world.ledger.transaction():
            world.ledger.update(msgspec.structs.replace(stored, state="done"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half_of_it()
    assert world.ledger.get(stored.id) == stored
    with world.ledger.transaction():  # the connection is free again
        assert world.ledger.first_time(stored.id, b"r" * 16)


def test_commits_are_synced_to_the_disk(world: World) -> None:
    assert world.ledger._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert world.ledger._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_ledger_of_a_newer_release_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    Ledger(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    db.close()
    with pytest.raises(LedgerError, match=f"version {SCHEMA_VERSION + 1}"):
        Ledger(path)


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_a_ledger_of_an_older_version_is_carried_on(world: World, version: int) -> None:
    stored = world.job(world.submit())
    world.ledger.close()
    with sqlite3.connect(world.folder / "ledger.db") as db:
        for column in ("host", "segments_done", "committing", "barrier")[version - 1 :]:
            db.execute(f"ALTER TABLE jobs DROP COLUMN {column}")
        db.execute(f"PRAGMA user_version={version}")
    db.close()
    world.ledger = Ledger(world.folder / "ledger.db")
    assert world.job(stored.id) == stored


@pytest.mark.parametrize("content", [b"not a database" * 100, os.urandom(8192)])
def test_a_damaged_ledger_is_an_error_with_a_remedy(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ledger.db").write_bytes(content)
    with pytest.raises(LedgerError) as caught:
        Ledger(tmp_path / "ledger.db")
    assert caught.value.remedy


def test_a_ledger_that_cannot_be_made_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(LedgerError) as caught:
        Ledger(tmp_path / "missing" / "ledger.db")
    assert caught.value.remedy


def fill(world: World) -> None:
    for _ in range(50):
        world.submit()


def test_a_full_disk_stops_the_request_and_nothing_else(world: World) -> None:
    pages = world.ledger._db.execute("PRAGMA page_count").fetchone()[0]
    world.ledger._db.execute(f"PRAGMA max_page_count={pages}")
    body = world.body()
    with pytest.raises(LedgerError):
        fill(world)
    world.ledger._db.execute("PRAGMA max_page_count=100000")
    started = len(world.publisher.wakes)
    world.scheduler().submit(world.sign(body), NOW)
    assert len(world.publisher.wakes) == started + 1


def test_ended_jobs_are_forgotten_after_a_long_time_but_not_untidied_backups(world: World) -> None:
    checked, backed_up, running = world.submit("check"), world.submit(), world.submit()
    world.scheduler().report(world.report(checked, "done", role="maintenance"), NOW)
    world.scheduler().report(world.report(backed_up, "failed", code="x"), NOW)
    with world.ledger.transaction():
        world.ledger.forget_jobs(NOW + 1)
    assert world.ledger.get(checked) is None
    assert world.ledger.get(backed_up) is not None
    assert world.ledger.get(running) is not None


def test_what_every_tick_asks_of_a_schedule_walks_through_an_index(world: World) -> None:
    """A schedule of every minute has half a million jobs in a year."""
    asked: list[str] = []
    job = world.job(world.submit())
    world.ledger._db.set_trace_callback(asked.append)
    world.ledger.is_running("nightly")
    world.ledger.of_slot("nightly", NOW)
    world.ledger.follower(msgspec.structs.replace(job, schedule="nightly"))
    world.ledger._db.set_trace_callback(None)
    plans = [[row[3] for row in world.ledger._db.execute(f"EXPLAIN QUERY PLAN {query}")] for query in asked]
    for plan, index in zip(plans, ("jobs_unfinished", *["sqlite_autoindex_jobs_2"] * 2), strict=True):
        assert f"USING INDEX {index}" in plan[0]
    assert not any("TEMP B-TREE" in line for plan in plans for line in plan)
