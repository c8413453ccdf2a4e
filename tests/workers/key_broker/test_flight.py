import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from crypto.kms.errors import KeyDisabled
from workers.key_broker.flight import SingleFlight

Flown = tuple[list[int], bool] | None


class Door:
    """A call that waits until it is let through, and counts."""

    def __init__(self, answer: Callable[[], list[int]]) -> None:
        self.answer = answer
        self.open = threading.Event()
        self.entered = threading.Event()
        self.calls = 0

    def __call__(self) -> list[int]:
        self.calls += 1
        self.entered.set()
        assert self.open.wait(60)
        return self.answer()


def _together(flights: SingleFlight[list[int]], door: Door, passengers: int) -> list[Future[Flown]]:
    """One pilot that is inside `door`, and passengers that wait for it."""
    pool = ThreadPoolExecutor(passengers + 1)
    futures = [pool.submit(flights.fly, "key", door, 10.0)]
    assert door.entered.wait(60)
    futures += [pool.submit(flights.fly, "key", door, 10.0) for _ in range(passengers)]
    while flights._flights["key"].passengers < passengers:
        time.sleep(0.001)
    door.open.set()
    pool.shutdown()
    return futures


def test_equal_calls_that_overlap_share_one_call_and_get_copies() -> None:
    flights, door = SingleFlight[list[int]](list), Door(lambda: [1, 2])
    answers = [future.result() for future in _together(flights, door, 5)]
    assert door.calls == 1
    assert [answer[0] for answer in answers if answer] == [[1, 2]] * 6
    assert sorted(answer[1] for answer in answers if answer) == [False] + [True] * 5
    assert len({id(answer[0]) for answer in answers if answer}) == 6


def _refuse() -> list[int]:
    raise KeyDisabled("off")


def test_error_is_shared_too() -> None:
    flights, door = SingleFlight[list[int]](list), Door(_refuse)
    for future in _together(flights, door, 3):
        with pytest.raises(KeyDisabled):
            future.result()
    assert door.calls == 1


def test_next_call_after_landing_flies_itself() -> None:
    flights, door = SingleFlight[list[int]](list), Door(lambda: [1])
    door.open.set()
    assert flights.fly("key", door, 1.0) == ([1], False)
    assert flights.fly("key", door, 1.0) == ([1], False)
    assert door.calls == 2


def test_other_calls_do_not_wait() -> None:
    flights, door = SingleFlight[list[int]](list), Door(lambda: [1])
    pilot = threading.Thread(target=flights.fly, args=("key", door, 10.0))
    pilot.start()
    assert door.entered.wait(60)
    assert flights.fly("other", lambda: [2], 1.0) == ([2], False)
    door.open.set()
    pilot.join()


def test_passenger_loses_patience() -> None:
    flights, door = SingleFlight[list[int]](list), Door(lambda: [1])
    pilot = threading.Thread(target=flights.fly, args=("key", door, 10.0))
    pilot.start()
    assert door.entered.wait(60)
    assert flights.fly("key", door, 0.01) is None
    door.open.set()
    pilot.join()


def test_defect_in_the_call_frees_the_key() -> None:
    flights = SingleFlight[list[int]](list)
    with pytest.raises(ZeroDivisionError):
        flights.fly("key", lambda: [1 // 0], 1.0)
    assert flights.fly("key", lambda: [1], 1.0) == ([1], False)
