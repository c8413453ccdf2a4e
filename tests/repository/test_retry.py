"""Which errors are tried again, how often, and what a retried put means."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from typing_extensions import Buffer

from repository import errors
from repository.directory import DirectoryPruner
from repository.errors import CacheUnusable, ObjectExists, RepositoryError, StoreFull, StoreUnreachable
from repository.retry import RetryingPruner, RetryingWriter, RetryPolicy, is_retryable


class FailingStore(DirectoryPruner):
    """A directory store that follows a script: r fails before the act, a fails after it, o is good."""

    def __init__(self, root: Path, script: str) -> None:
        super().__init__(root, create=True)
        self.script = list(script)
        self.calls = 0

    def _next(self) -> str:
        self.calls += 1
        return self.script.pop(0) if self.script else "o"

    def put(self, name: str, parts: Sequence[Buffer]) -> None:
        step = self._next()
        if step == "f":
            raise StoreFull("full")
        if step == "r":
            raise StoreUnreachable("before")
        super().put(name, parts)
        if step == "a":
            raise StoreUnreachable("after")

    def size(self, name: str) -> int:
        if self._next() == "r":
            raise StoreUnreachable("before")
        return super().size(name)


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def policy(self, deadline_s: float = 30.0) -> RetryPolicy:
        return RetryPolicy(
            deadline_s=deadline_s, sleep=self.sleep, clock=lambda: self.now, jitter=lambda bound: bound
        )


@pytest.fixture
def failing(tmp_path: Path) -> Callable[[str], tuple[FailingStore, RetryingPruner, Clock]]:
    def make(script: str) -> tuple[FailingStore, RetryingPruner, Clock]:
        inner, clock = FailingStore(tmp_path / "store", script), Clock()
        return inner, RetryingPruner(inner, clock.policy()), clock

    return make


Make = Callable[[str], tuple[FailingStore, RetryingPruner, Clock]]


def test_only_an_unreachable_store_is_retryable() -> None:
    classes = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, RepositoryError)
    ]
    assert len(classes) > 10
    retryable = [kind for kind in classes if is_retryable(kind.__new__(kind))]
    assert retryable == [StoreUnreachable]


def test_delays_double_up_to_the_longest(failing: Make) -> None:
    inner, store, clock = failing("rrrrrrrr")
    store.put("a", [b"x"])
    assert clock.slept == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert inner.get("a", 1) == b"x"


def test_it_gives_up_at_the_deadline(failing: Make) -> None:
    _, store, clock = failing("r" * 100)
    with pytest.raises(StoreUnreachable):
        store.put("a", [b"x"])
    assert clock.now <= 30.0


def test_it_is_asked_before_each_attempt_whether_it_may(failing: Make) -> None:
    """What was allowed when the call began may be over by the next attempt."""
    left = [2]

    def require() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise CacheUnusable("its time is over")

    inner, _, clock = failing("rrrr")
    with pytest.raises(CacheUnusable):
        RetryingPruner(inner, replace(clock.policy(), require=require)).put("a", [b"x"])
    assert inner.calls == 2


def test_a_permanent_error_is_raised_at_once(failing: Make) -> None:
    inner, store, clock = failing("f")
    with pytest.raises(StoreFull):
        store.put("a", [b"x"])
    assert (inner.calls, clock.slept) == (1, [])


@pytest.mark.parametrize(("failures", "told"), [(3, []), (4, [("before", 29.3)]), (9, [("before", 29.3)])])
def test_what_takes_longer_than_a_second_is_told_once(
    failing: Make, failures: int, told: list[tuple[str, float]]
) -> None:
    inner, _, clock = failing("r" * failures)
    heard: list[tuple[str, float]] = []
    policy = replace(
        clock.policy(), on_wait=lambda error, left_s: heard.append((error.message, round(left_s, 1)))
    )
    RetryingPruner(inner, policy).put("a", [b"x"])
    assert heard == told


def test_a_put_that_succeeded_and_said_otherwise_is_a_success(failing: Make) -> None:
    _, store, _ = failing("a")
    store.put("a", [b"one", b"two"])
    assert store.get("a", 6) == b"onetwo"


def test_a_retried_put_does_not_take_another_object_for_its_own(failing: Make) -> None:
    inner, store, _ = failing("or")
    inner.put("a", [b"theirs"])
    for body in (b"ours!!", b"longer than theirs"):
        inner.script = ["r"]
        with pytest.raises(ObjectExists):
            store.put("a", [body])


def test_who_may_not_look_is_told_that_the_name_is_taken_and_reads_nothing(tmp_path: Path) -> None:
    inner = FailingStore(tmp_path / "store", "a")
    store = RetryingWriter(inner, Clock().policy(), looks=False)
    with pytest.raises(ObjectExists):
        store.put("a", [b"one"])
    assert inner.calls == 2


def test_a_name_that_was_taken_before_is_never_ours(failing: Make) -> None:
    inner, store, _ = failing("o")
    inner.put("a", [b"same"])
    with pytest.raises(ObjectExists):
        store.put("a", [b"same"])


def test_reads_are_retried(failing: Make) -> None:
    inner, store, clock = failing("orr")
    inner.put("a", [b"x"])
    assert store.size("a") == 1
    assert len(clock.slept) == 2


class BreakingList(DirectoryPruner):
    """Its listings break off after every second name, until they have done so `times` times."""

    times = 3

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        for number, name in enumerate(super().list(prefix, after)):
            if number == 2 and self.times:
                self.times -= 1
                raise StoreUnreachable("broke off")
            yield name


def test_a_listing_that_breaks_off_goes_on_where_it_was(tmp_path: Path) -> None:
    inner, clock = BreakingList(tmp_path / "store", create=True), Clock()
    names = [f"jobs/{number:02}" for number in range(10)]
    for name in names:
        inner.put(name, [b"x"])
    assert list(RetryingPruner(inner, clock.policy()).list("jobs/")) == names
    assert inner.times == 0
    inner.times = 10**6
    assert list(RetryingPruner(inner, clock.policy()).list("jobs/")) == names, "there is progress each time"


def test_the_real_jitter_stays_below_its_bound() -> None:
    policy = RetryPolicy()
    assert all(0 <= policy.jitter(2.0) <= 2.0 for _ in range(100))
