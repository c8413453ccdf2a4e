"""Reading ahead: the same answers in the same order, several at a time, and no more than that."""

import threading
from pathlib import Path

import pytest

from repository.ahead import read_ahead
from repository.directory import DirectoryWriter
from repository.errors import ObjectDamaged, ObjectMissing

NAMES = [f"jobs/done-{number}" for number in range(40)]


class Counting(DirectoryWriter):
    """A real folder that says how many reads are under way, and lets them wait for each other."""

    def __init__(self, root: Path, together: int) -> None:
        super().__init__(root, create=True)
        self._meeting = threading.Barrier(together)
        self._lock = threading.Lock()
        self.now = self.most = self.begun = 0

    def get(self, name: str, limit: int) -> bytes:
        with self._lock:
            self.begun += 1
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            self._meeting.wait(60)
            return super().get(name, limit)
        finally:
            with self._lock:
                self.now -= 1


@pytest.fixture
def store(tmp_path: Path) -> DirectoryWriter:
    made = DirectoryWriter(tmp_path / "store", create=True)
    for name in NAMES:
        made.put(name, [name.encode() * 10])
    return made


def test_everything_is_answered_in_order_and_several_at_a_time(
    store: DirectoryWriter, tmp_path: Path
) -> None:
    counting = Counting(tmp_path / "store", together=4)
    with read_ahead(counting, NAMES, 1000, width=4) as ahead:
        assert [ahead.get(name, 1000) for name in NAMES] == [name.encode() * 10 for name in NAMES]
    assert (counting.most, counting.begun) == (4, len(NAMES))


def test_no_more_is_fetched_than_the_width_and_the_end_does_not_wait_for_the_rest(
    store: DirectoryWriter, tmp_path: Path
) -> None:
    counting = Counting(tmp_path / "store", together=1)
    with read_ahead(counting, NAMES, 1000, width=4) as ahead:
        assert ahead.get(NAMES[0], 1000)
    assert counting.begun <= 5


def test_an_error_is_told_to_whoever_asks_for_that_object(store: DirectoryWriter) -> None:
    names = [*NAMES[:5], "jobs/none", *NAMES[5:]]
    with read_ahead(store, names, 1000, width=4) as ahead:
        for name in names:
            if name == "jobs/none":
                with pytest.raises(ObjectMissing):
                    ahead.get(name, 1000)
            else:
                assert ahead.get(name, 1000) == name.encode() * 10
    with read_ahead(store, NAMES, 10, width=4) as ahead, pytest.raises(ObjectDamaged):
        ahead.get(NAMES[0], 10)


def test_what_is_asked_for_out_of_turn_comes_from_the_store_itself(store: DirectoryWriter) -> None:
    with read_ahead(store, NAMES, 1000, width=4) as ahead:
        assert ahead.get(NAMES[7], 1000) == NAMES[7].encode() * 10
        assert ahead.get(NAMES[0], 1000) == NAMES[0].encode() * 10
        assert ahead.get_range(NAMES[3], 2, 3) == NAMES[3].encode()[2:5]
        assert ahead.size(NAMES[3]) == len(NAMES[3]) * 10
        assert list(ahead.list("jobs/")) == sorted(NAMES)


def test_few_objects_are_worth_no_threads(store: DirectoryWriter) -> None:
    with read_ahead(store, NAMES[:4], 1000, width=4) as ahead:
        assert ahead is store
