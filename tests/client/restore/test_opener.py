"""One opener process, and the pipe through which it is told what to do."""

import multiprocessing
import os
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from client.restore.messages import (
    Answer,
    EndSegment,
    Order,
    SegmentReport,
    Take,
    Took,
    decode_answer,
    encode,
)
from client.restore.opener import run_opener
from tests.client.deliveries import ParcelMaker, Worker, damage, now_ms


class Opener:
    """The other end of the pipe."""

    def __init__(self, worker: Worker, out: Path) -> None:
        context = multiprocessing.get_context("fork")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_opener, args=(theirs, self.pipe, worker, out))
        self.process.start()
        theirs.close()

    def ask(self, order: Order) -> Answer:
        self.pipe.send_bytes(encode(order))
        assert self.pipe.poll(30)
        said: Answer = decode_answer(self.pipe.recv_bytes())
        return said


def _opener(pipe: Connection, other: Connection, worker: Worker, out: Path) -> None:
    other.close()
    run_opener(pipe, worker.task(out), os.getppid())


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(tmp_path)


@pytest.fixture
def opener(worker: Worker, tmp_path: Path) -> Iterator[Opener]:
    (tmp_path / "out").mkdir()
    made = Opener(worker, tmp_path / "out")
    yield made
    made.pipe.close()
    made.process.join(30)
    assert made.process.exitcode == 0


def maker_of(**contents: bytes) -> ParcelMaker:
    maker = ParcelMaker()
    for name, content in contents.items():
        maker.file(b"/" + name.encode(), content)
    return maker


def test_a_parcel_becomes_files_and_is_gone(worker: Worker, opener: Opener, tmp_path: Path) -> None:
    place = worker.deliver(2, 7, maker_of(one=b"1" * 10, two=b"22"))
    assert opener.ask(Take(2, 7, now_ms())) == Took(2, 7, 2, 12, "")
    report = opener.ask(EndSegment(2))
    assert isinstance(report, SegmentReport)
    assert report.failed == ()
    assert (tmp_path / "out/two").read_bytes() == b"22"
    assert not place.exists()


def test_trouble_with_one_parcel_is_told_and_the_next_is_taken(worker: Worker, opener: Opener) -> None:
    damage(worker.deliver(0, 0, maker_of(one=b"1")))
    worker.deliver(0, 1, maker_of(two=b"2"))
    for sequence in (0, 9):
        took = opener.ask(Take(0, sequence, now_ms()))
        assert isinstance(took, Took)
        assert (took.files, bool(took.trouble)) == (0, True)
    assert opener.ask(Take(0, 1, now_ms())) == Took(0, 1, 1, 1, "")


def test_what_is_unfinished_goes_when_the_command_goes(
    worker: Worker, opener: Opener, tmp_path: Path
) -> None:
    maker = ParcelMaker()
    maker.piece(b"/big", "f", size=100, last=False, extents=(maker.chunk(b"x" * 10), 0, 10))
    worker.deliver(0, 0, maker)
    opener.ask(Take(0, 0, now_ms()))
    assert (tmp_path / "out/big").exists()
    opener.pipe.close()
    opener.process.join(30)
    assert not (tmp_path / "out/big").exists()
