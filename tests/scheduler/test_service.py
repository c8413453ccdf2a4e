"""The scheduler as its tasks call it: nothing that arrives stops it, and what it saw is counted."""

import msgspec
import pytest

from scheduler import reaper
from scheduler.errors import LedgerError
from scheduler.lifecycle import DONE, WAITING
from scheduler.service import HOUSEKEEPING_MS, KEEP_JOBS_MS
from tests.scheduler.world import NOW, World


def test_what_is_dropped_is_counted_and_logged_without_its_content(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = world.scheduler()
    scheduler.submit("noise of nobody", NOW)
    scheduler.report("noise of nobody", NOW)
    scheduler.submit(world.sign(world.body()), NOW)
    found = msgspec.json.decode(scheduler.status())
    assert (found["requests"], found["requests_dropped"]) == (2, 1)
    assert (found["reports"], found["reports_dropped"]) == (1, 1)
    assert found["jobs"] == {"queued": 1}
    assert "dropped a request" in caplog.text
    assert "dropped a report" in caplog.text
    assert "noise of nobody" not in caplog.text


def test_every_tick_leaves_its_count_where_a_client_looks(world: World) -> None:
    scheduler = world.scheduler()
    for number in (1, 2):
        scheduler.tick(NOW)
        assert msgspec.json.decode(world.publisher.status)["ticks"] == number


def test_a_tick_without_a_broker_is_made_good_by_the_next(world: World) -> None:
    scheduler = world.scheduler()
    world.publisher.down = True
    job_id = world.submit()
    assert world.job(job_id).state == WAITING
    scheduler.tick(NOW + 10 * 60_000)
    assert world.job(job_id).state == WAITING
    world.publisher.down = False
    scheduler.tick(NOW + 20 * 60_000)
    assert [wake.ticket.job for wake in world.publisher.wakes] == [job_id]


def test_a_ledger_that_cannot_be_used_is_not_passed_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise LedgerError("full")

    monkeypatch.setattr(reaper, "reap", fail)
    with pytest.raises(LedgerError):
        world.scheduler().tick(NOW)


def test_old_jobs_are_forgotten_once_an_hour(world: World) -> None:
    scheduler = world.scheduler()
    scheduler.tick(NOW)
    world.know_vault()
    (old,) = [job.id for job in world.ledger.newest(9)]
    late = NOW + KEEP_JOBS_MS + HOUSEKEEPING_MS
    assert world.job(old).state == DONE
    # The last look was long ago, so that this one forgets; the next within the hour does not.
    scheduler.tick(late)
    assert world.ledger.get(old) is None
    world.know_vault()
    scheduler.tick(late + HOUSEKEEPING_MS - 1)
    assert len(world.ledger.newest(9)) == 1
    scheduler.tick(late + HOUSEKEEPING_MS)
    assert world.ledger.newest(9) == []
