"""Planning by real steps: what is written before who is woken, and what a second delivery takes up."""

import pytest

from config.queues import BACKUP_SEGMENT
from crypto import notes, report
from repository.catalog import read_plan, read_work
from repository.layout import done_name, plan_name, segment_id, snapshot_name
from sources.source import SourceError
from tests.workers.backup.conftest import Writing
from workers.admission import Stray
from workers.backup.plan import PlanTaken, make_plan
from workers.backup.session import BackupSession

NEVER_DAYS = 10**6


def plan(writing: Writing, session: BackupSession) -> list[tuple[object, ...]]:
    """Plan; returns fence and number of each segment that was woken."""
    before = len(writing.sent)
    make_plan(session, writing.reporter(session.job), NEVER_DAYS)
    return [tuple(args[-2:]) for task, *args in writing.sent[before:] if task == BACKUP_SEGMENT]


@pytest.fixture
def session(writing: Writing) -> BackupSession:
    (writing.source / "file").write_bytes(b"content")
    return writing.session()


def test_a_worker_is_woken_for_what_is_written_and_the_plan_says_how_many(
    writing: Writing, session: BackupSession
) -> None:
    assert plan(writing, session) == [(1, 0)]
    repo, job = writing.repo, session.job.id
    work = read_work(repo.store, repo.vault, repo.keys, segment_id(job, 1, 0))
    assert [item.path.rpartition(b"/")[2] for item in work.items if item.kind == "f"] == [b"file"]
    made = read_plan(repo.store, repo.vault, repo.keys, job)
    assert (made.fence, made.segments, made.errors, made.parent) == (1, 1, [], b"")
    assert [(each.kind, each.segments) for each in writing.reports()] == [(report.PLANNED, 1)]
    told = writing.notes(session.job)[-1]
    assert isinstance(told, notes.Planned)
    assert told == notes.Planned(1, told.files, 7)


def test_a_later_attempt_takes_up_the_plan_and_wakes_what_is_not_done(
    writing: Writing, session: BackupSession
) -> None:
    plan(writing, session)
    again = writing.session(job=session.job.id, fence=2)
    assert plan(writing, again) == [(1, 0)]
    writing.repo.store.put(done_name(session.job.id, 1, 0), [b"x"])
    last = writing.session(job=session.job.id, fence=3)
    assert plan(writing, last) == []
    kinds = [each.kind for each in writing.reports()]
    assert kinds == [report.PLANNED, report.PLANNED, report.PLANNED, report.READY]


def test_two_deliveries_of_one_attempt_do_not_mix(writing: Writing, session: BackupSession) -> None:
    plan(writing, session)
    writing.repo.store.delete(plan_name(session.job.id))
    with pytest.raises(PlanTaken):
        plan(writing, writing.session(job=session.job.id))
    assert not session.holds(plan_name(session.job.id))


def test_a_job_that_is_over_is_not_planned_again(writing: Writing, session: BackupSession) -> None:
    writing.repo.store.put(snapshot_name(session.job.id), [b"x"])
    with pytest.raises(Stray):
        plan(writing, session)
    assert writing.sent == []
    assert not session.holds(plan_name(session.job.id))


def test_a_path_that_is_not_there_plans_nothing(writing: Writing) -> None:
    session = writing.session(writing.backup(b"/nonexistent/folder"))
    with pytest.raises(SourceError, match="cannot be found"):
        plan(writing, session)
    assert writing.sent == []
