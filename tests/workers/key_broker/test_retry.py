from collections.abc import Iterator

import pytest

from crypto.kms.errors import KeyDisabled, KmsError, KmsUnavailable, Throttled
from tests.workers.key_broker.clock import Time
from workers.key_broker.retry import FIRST_BOUND_S, LAST_BOUND_S, Retry


class Script:
    """Answers as its map says: an error for each entry, then "done"."""

    def __init__(self, *errors: KmsError) -> None:
        self.errors: Iterator[KmsError] = iter(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        for error in self.errors:
            raise error
        return "done"


@pytest.fixture
def time() -> Time:
    return Time()


def test_retryable_failures_are_tried_again(time: Time) -> None:
    script, retried = Script(Throttled("x"), KmsUnavailable("x")), []
    retry = Retry(time.clock, time.sleep, lambda bound: bound / 2)
    assert retry.call(script, 10.0, lambda: retried.append(1)) == "done"
    assert script.calls == 3
    assert len(retried) == 2


def test_final_failure_is_not_tried_again(time: Time) -> None:
    script = Script(KeyDisabled("x"))
    with pytest.raises(KeyDisabled):
        Retry(time.clock, time.sleep).call(script, 10.0, lambda: None)
    assert (script.calls, time.slept) == (1, [])


def test_bound_of_the_jitter_doubles_up_to_its_limit(time: Time) -> None:
    bounds: list[float] = []

    def jitter(bound: float) -> float:
        bounds.append(bound)
        return 0.001

    Retry(time.clock, time.sleep, jitter).call(Script(*[Throttled("x")] * 9), 10.0, lambda: None)
    assert bounds == [min(LAST_BOUND_S, FIRST_BOUND_S * 2**number) for number in range(9)]


def test_jitter_is_full(time: Time) -> None:
    retry = Retry(time.clock, time.sleep)
    pauses = [retry.jitter(1.0) for _ in range(1000)]
    assert 0 <= min(pauses) < 0.05
    assert 0.95 < max(pauses) <= 1.0


def test_deadline_ends_the_trying_with_the_last_error(time: Time) -> None:
    retry = Retry(time.clock, time.sleep, lambda bound: bound)
    with pytest.raises(Throttled):
        retry.call(Script(*[Throttled("x")] * 1000), 1.0, lambda: None)
    assert time.now < 1.0
