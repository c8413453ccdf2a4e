import threading

import pytest

from tests.workers.key_broker.clock import Time
from workers.key_broker import limits
from workers.key_broker.limits import CallLimits, Rate, TokenBucket


@pytest.fixture
def time() -> Time:
    return Time(1000.0)


def test_bucket_gives_its_burst_at_once_and_then_its_rate(time: Time) -> None:
    bucket = TokenBucket(Rate(10.0, 3), time.clock)
    assert [bucket.reserve(9.0) for _ in range(5)] == pytest.approx([0, 0, 0, 0.1, 0.2])
    time.now += 0.35
    assert bucket.reserve(9.0) == pytest.approx(0.0)


def test_bucket_never_holds_more_than_its_burst(time: Time) -> None:
    bucket = TokenBucket(Rate(10.0, 2), time.clock)
    time.now += 1e6
    assert [bucket.reserve(9.0) for _ in range(3)] == pytest.approx([0, 0, 0.1])


def test_impatient_caller_takes_nothing(time: Time) -> None:
    bucket = TokenBucket(Rate(1.0, 1), time.clock)
    assert bucket.reserve(0.0) == 0.0
    assert [bucket.reserve(0.5) for _ in range(10)] == [None] * 10
    assert bucket.reserve(1.0) == pytest.approx(1.0)


def test_caller_waits_for_its_token(time: Time) -> None:
    gate = CallLimits(Rate(100.0, 100), Rate(2.0, 1), time.clock, time.sleep)
    assert gate.wait(b"a", time.now + 5)
    assert gate.wait(b"a", time.now + 5)
    assert time.slept == pytest.approx([0.5])


def test_no_waiting_beyond_the_deadline(time: Time) -> None:
    gate = CallLimits(Rate(100.0, 100), Rate(1.0, 1), time.clock, time.sleep)
    assert gate.wait(b"a", time.now)
    assert not gate.wait(b"a", time.now + 0.5)
    assert time.slept == []


def test_tenant_over_its_limit_leaves_the_others_their_share(time: Time) -> None:
    gate = CallLimits(Rate(10.0, 10), Rate(1.0, 5), time.clock, time.sleep)
    allowed = sum(gate.wait(b"greedy", time.now) for _ in range(1000))
    assert allowed == 5
    assert [gate.wait(b"modest", time.now) for _ in range(5)] == [True] * 5


def test_all_tenants_together_are_limited_too(time: Time) -> None:
    gate = CallLimits(Rate(10.0, 10), Rate(100.0, 100), time.clock, time.sleep)
    assert sum(gate.wait(bytes([number]), time.now) for number in range(50)) == 10


def test_buckets_are_bounded_in_number(time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_TENANTS", 4)
    gate = CallLimits(Rate(1e6, 10**6), Rate(1.0, 1), time.clock, time.sleep)
    for number in range(100):
        assert gate.wait(bytes([number]), time.now)
    assert len(gate._tenants) == 4


def test_threads_never_get_more_than_the_burst() -> None:
    bucket = TokenBucket(Rate(1e-6, 50))
    got: list[float | None] = []

    def take() -> None:
        got.extend(bucket.reserve(0.0) for _ in range(100))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(each is not None for each in got) == 50
