import os
import signal
import time
from pathlib import Path

import pytest

from client.restore.messages import EndSegment, SegmentReport, Take, Took
from client.restore.pool import IN_FLIGHT, OpenerLost, OpenerPool
from tests.client.deliveries import ParcelMaker, Worker, damage, names, now_ms


def collect(pool: OpenerPool) -> tuple[list[Took], list[SegmentReport]]:
    took: list[Took] = []
    reports: list[SegmentReport] = []
    deadline = time.monotonic() + 60
    while pool.busy:
        assert time.monotonic() < deadline
        for answer in pool.answers(1.0):
            if isinstance(answer, Took):
                took.append(answer)
            else:
                reports.append(answer)
    return took, reports


def files(count: int, segment: int, sequence: int = 0) -> ParcelMaker:
    maker = ParcelMaker()
    for number in range(count):
        maker.file(b"/s%d/p%d/f%d" % (segment, sequence, number), b"%d" % number * 50)
    return maker


def test_segments_are_opened_by_several_processes(tmp_path: Path):
    worker = Worker(tmp_path)
    (tmp_path / "out").mkdir()
    pool = OpenerPool(worker.task(tmp_path / "out"), 2)
    try:
        for segment in range(4):
            for sequence in range(3):
                worker.deliver(segment, sequence, files(20, segment, sequence))
                pool.give(Take(segment, sequence, now_ms()))
            pool.give(EndSegment(segment))
        took, reports = collect(pool)
    finally:
        pool.close()
    assert sum(each.files for each in took) == 240
    assert all(not report.failed for report in reports)
    assert len(reports) == 4
    assert len([path for path in (tmp_path / "out").rglob("f*") if path.is_file()]) == 240
    left = {path.name[:6] for path in (worker.area / worker.job.hex()).iterdir()}
    assert left <= {".free-"}, "parcels that are done with are removed, or free to be written over"


def test_more_orders_than_may_be_in_flight(tmp_path: Path):
    worker = Worker(tmp_path)
    (tmp_path / "out").mkdir()
    count = 3 * IN_FLIGHT
    for sequence in range(count):
        worker.deliver(0, sequence, files(1, 0, sequence))
    pool = OpenerPool(worker.task(tmp_path / "out"), 1)
    try:
        for sequence in range(count):
            pool.give(Take(0, sequence, now_ms()))
        took, _ = collect(pool)
    finally:
        pool.close()
    assert [each.sequence for each in took] == list(range(count))


def test_a_damaged_or_missing_parcel_is_told_and_the_others_are_opened(tmp_path: Path):
    worker = Worker(tmp_path)
    (tmp_path / "out").mkdir()
    places = [worker.deliver(0, sequence, files(5, 0, sequence)) for sequence in range(6)]
    damage(places[1])  # the end of the seal
    damage(places[2], 100)  # the signed head
    places[3].write_bytes(places[3].read_bytes()[:-1])
    places[4].write_bytes(places[0].read_bytes())  # a genuine parcel in another's place
    pool = OpenerPool(worker.task(tmp_path / "out"), 1)
    try:
        for sequence in range(7):
            pool.give(Take(0, sequence, now_ms()))
        pool.give(EndSegment(0))
        took, reports = collect(pool)
    finally:
        pool.close()
    assert [bool(each.trouble) for each in took] == [False, True, True, True, True, False, True]
    assert names(reports[0].failed) == set()
    assert sorted(each.name for each in (tmp_path / "out/s0").iterdir()) == ["p0", "p5"]


def test_a_parcel_of_somebody_who_is_not_enrolled_is_not_opened(tmp_path: Path):
    worker, stranger = Worker(tmp_path / "a"), Worker(tmp_path / "b")
    (tmp_path / "out").mkdir()
    stranger.job, stranger.opening, stranger.area = worker.job, worker.opening, worker.area
    stranger.deliver(0, 0, files(1, 0))
    pool = OpenerPool(worker.task(tmp_path / "out"), 1)
    try:
        pool.give(Take(0, 0, now_ms()))
        took, _ = collect(pool)
    finally:
        pool.close()
    assert "not enrolled" in took[0].trouble
    assert list((tmp_path / "out").iterdir()) == []


def test_the_death_of_an_opener_is_noticed(tmp_path: Path):
    worker = Worker(tmp_path)
    (tmp_path / "out").mkdir()
    pool = OpenerPool(worker.task(tmp_path / "out"), 1)
    try:
        os.kill(pool._openers[0].process.pid or 0, signal.SIGKILL)
        with pytest.raises(OpenerLost):  # noqa: PT012 - which of the calls notices is a matter of time
            pool.give(Take(0, 0, now_ms()))
            collect(pool)
    finally:
        pool.close()


def test_openers_end_with_the_pool_and_remove_what_is_unfinished(tmp_path: Path):
    worker = Worker(tmp_path)
    (tmp_path / "out").mkdir()
    maker = ParcelMaker()
    maker.piece(b"/big", "f", size=20, last=False, extents=(maker.chunk(b"0123456789"), 0, 10))
    worker.deliver(0, 0, maker)
    pool = OpenerPool(worker.task(tmp_path / "out"), 2)
    processes = [opener.process for opener in pool._openers]
    pool.give(Take(0, 0, now_ms()))
    collect(pool)
    pool.close()
    assert [process.exitcode for process in processes] == [0, 0]
    assert list((tmp_path / "out").iterdir()) == []


def test_parcels_that_no_opener_has_been_told_of_can_be_taken_back(tmp_path: Path):
    worker = Worker(tmp_path)
    (tmp_path / "out").mkdir()
    pool = OpenerPool(worker.task(tmp_path / "out"), 1)
    try:
        for sequence in range(3 * IN_FLIGHT):
            worker.deliver(0, sequence, files(1, 0, sequence))
            pool.give(Take(0, sequence, now_ms()))
        pool.give(EndSegment(0))
        pool.forget_parcels()
        took, reports = collect(pool)
    finally:
        pool.close()
    assert len(took) == IN_FLIGHT
    assert len(reports) == 1
