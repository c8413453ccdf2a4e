import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from crypto.kms.errors import AccessDenied, KmsError, KmsUnavailable, Throttled
from workers.key_broker.breaker import FAILURES, OPEN_S, Breaker, CircuitOpen


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock)


def fail(breaker: Breaker, error: KmsError, name: str = "a") -> None:
    with pytest.raises(type(error)), breaker.call(name):
        raise error


def succeed(breaker: Breaker, name: str = "a") -> None:
    with breaker.call(name):
        pass


def broken(breaker: Breaker) -> None:
    for _ in range(FAILURES):
        fail(breaker, KmsUnavailable("away"))


def test_opens_after_some_failures_in_a_row_and_for_that_cmk_alone(breaker: Breaker) -> None:
    broken(breaker)
    with pytest.raises(CircuitOpen) as refused, breaker.call("a"):
        pytest.fail("the call was made")
    assert (refused.value.code, refused.value.retryable) == ("kms-unavailable", True)
    assert (refused.value.message, refused.value.remedy) == ("away", KmsUnavailable.advice)
    succeed(breaker, "b")


def test_answers_of_the_kms_close_it(breaker: Breaker) -> None:
    for answer in (Throttled("x"), AccessDenied("x")):
        for _ in range(FAILURES - 1):
            fail(breaker, KmsUnavailable("away"))
        fail(breaker, answer)
    for _ in range(3 * FAILURES):
        fail(breaker, Throttled("x"))
    succeed(breaker)


def test_after_a_pause_one_call_tries_and_decides(breaker: Breaker, clock: Clock) -> None:
    broken(breaker)
    clock.now = OPEN_S + 0.1
    fail(breaker, KmsUnavailable("still away"))
    fail(breaker, CircuitOpen("x"))
    clock.now = 2 * OPEN_S + 0.2
    succeed(breaker)
    for _ in range(FAILURES - 1):
        fail(breaker, KmsUnavailable("away"))
    succeed(breaker)


def test_while_one_call_tries_the_others_fail_at_once(breaker: Breaker, clock: Clock) -> None:
    broken(breaker)
    clock.now = OPEN_S + 0.1
    inside, go = threading.Event(), threading.Event()

    def probe() -> None:
        with breaker.call("a"):
            inside.set()
            assert go.wait(60)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(probe)
        assert inside.wait(60)
        with pytest.raises(CircuitOpen), breaker.call("a"):
            pytest.fail("the call was made")
        go.set()
        running.result()
    succeed(breaker)


def test_defect_inside_a_call_leaves_nothing_stuck(breaker: Breaker, clock: Clock) -> None:
    broken(breaker)
    clock.now = OPEN_S + 0.1
    with pytest.raises(ZeroDivisionError), breaker.call("a"):
        raise ZeroDivisionError
    succeed(breaker)
