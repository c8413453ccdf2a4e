"""Planning a restore, and listing: what is told before what, and that nothing is left out of a listing in silence."""

import pytest

from config.queues import REPORT, RESTORE_SEGMENT
from crypto import notes, report
from crypto.errors import OutOfScope
from repository.errors import VaultMismatch
from repository.layout import snapshot_name
from repository.manifest import Snapshot
from tests.workers.restore.conftest import Reading
from workers.restore.choose import NoSuchPath
from workers.restore.session import NoSuchSnapshot, WrongSpec
from workers.restore.steps import list_snapshot, plan_restore


@pytest.fixture
def snapshot(reading: Reading) -> Snapshot:
    """One of two segments."""
    refs = [
        reading.repo.backup({path: b"data"}, number).manifests[0] for number, path in ((1, b"/a"), (2, b"/b"))
    ]
    return reading.repo.commit(refs, 3)


@pytest.mark.parametrize(("in_order", "woken"), [(False, [0, 1]), (True, [0])])
def test_the_scheduler_knows_the_number_of_segments_before_any_is_woken(
    reading: Reading, snapshot: Snapshot, in_order: bool, woken: list[int]
) -> None:
    session = reading.session(reading.restore(in_order=in_order))
    plan_restore(session, reading.reporter(session.job))
    assert [task for task, *_ in reading.sent] == [REPORT, *[RESTORE_SEGMENT] * len(woken)]
    assert [(each.kind, each.segments) for each in reading.reports()] == [(report.PLANNED, 2)]
    assert [args[-2:] for args in reading.sent[1:]] == [(snapshot.id.hex(), number) for number in woken]
    assert reading.notes(session.job) == [
        notes.Restoring(snapshot.id, 2, snapshot.time_ns),
        notes.Planned(2, snapshot.files, snapshot.bytes),
    ]


def test_of_a_part_nobody_knows_the_size_beforehand(reading: Reading, snapshot: Snapshot) -> None:
    session = reading.session(reading.restore(path=b"/b"))
    plan_restore(session, reading.reporter(session.job))
    assert reading.notes(session.job)[-1] == notes.Planned(1, 0, 0)


def test_what_is_not_there_plans_nothing(reading: Reading, snapshot: Snapshot) -> None:
    for spec, error in (
        (reading.restore("ffff"), NoSuchSnapshot),
        (reading.restore(path=b"/none"), NoSuchPath),
        (reading.listing(), WrongSpec),
    ):
        session = reading.session(spec)
        with pytest.raises(error):
            plan_restore(session, reading.reporter(session.job))
    assert reading.sent == []


def test_another_vaults_repository_is_not_read(reading: Reading, snapshot: Snapshot) -> None:
    session = reading.session(reading.listing())
    session.vault = session.vault._replace(vault=b"W" * 16)
    with pytest.raises(VaultMismatch):
        list_snapshot(session, reading.reporter(session.job))


def test_without_the_right_to_decrypt_nothing_is_read(reading: Reading, snapshot: Snapshot) -> None:
    session = reading.session(reading.listing(), operations=())
    with pytest.raises(OutOfScope):
        list_snapshot(session, reading.reporter(session.job))


def test_a_snapshot_that_cannot_be_opened_is_in_the_listing_too(reading: Reading, snapshot: Snapshot) -> None:
    reading.repo.damage(snapshot_name(snapshot.id), lambda data: data[:-1])
    session = reading.session(reading.listing())
    list_snapshot(session, reading.reporter(session.job))
    lines = reading.lines(session)
    assert [line["id"] for line in lines if "error" not in line] == [f"{number:032x}" for number in (1, 2)]
    assert [line["id"] for line in lines if "error" in line] == [snapshot.id.hex()]
    assert [each.kind for each in reading.reports()] == [report.DONE]


def test_the_entries_of_one_are_those_below_the_path(reading: Reading, snapshot: Snapshot) -> None:
    for path, expected in ((b"", ["/a", "/b"]), (b"/b", ["/b"])):
        session = reading.session(reading.listing(snapshot.id.hex(), path))
        list_snapshot(session, reading.reporter(session.job))
        assert [line["path"] for line in reading.lines(session)] == expected
    session = reading.session(reading.listing(snapshot.id.hex(), b"/none"))
    with pytest.raises(NoSuchPath):
        list_snapshot(session, reading.reporter(session.job))
