"""The allowance of an answer: an end that bytes put off, and a number of bytes that nothing does."""

import time

import pytest

from config.answers import SLOWEST, Allowance, AnswerBroken, AnswerTooLarge, AnswerTooSlow, overstepped


def test_nothing_is_waited_for_before_the_first_request() -> None:
    with pytest.raises(AnswerTooSlow):
        Allowance().next_s()


def test_a_pause_is_no_longer_than_the_patience_however_late_the_end() -> None:
    allowance = Allowance()
    allowance.renew(5.0, 1000, more_s=1000.0)
    assert allowance.next_s() == 5.0


def test_bytes_put_the_end_off_by_what_they_take_at_the_slowest() -> None:
    allowance = Allowance()
    allowance.renew(5.0, 10 * SLOWEST)
    end = allowance.end
    allowance.take(3 * SLOWEST)
    assert allowance.end == end + 3.0
    allowance.end = time.monotonic() - 1
    with pytest.raises(AnswerTooSlow):
        allowance.next_s()
    allowance.take(2 * SLOWEST)
    assert 0 < allowance.next_s() <= 1.0


def test_one_byte_more_than_may_be_is_too_many() -> None:
    allowance = Allowance()
    allowance.renew(5.0, 10)
    allowance.take(10)
    with pytest.raises(AnswerTooLarge):
        allowance.take(1)
    allowance.renew(5.0, 1)
    allowance.take(1)


@pytest.mark.parametrize("kind", [AnswerTooSlow, AnswerTooLarge, AnswerBroken])
def test_a_bound_is_found_below_what_libraries_make_of_it(kind: type[Exception]) -> None:
    bound, middle, top = kind("x"), ValueError("a parser's"), ConnectionError("a library's")
    middle.__context__ = bound
    top.__cause__ = middle
    assert overstepped(top) is bound
    assert overstepped(bound) is bound


def test_errors_that_lead_in_a_circle_are_followed_once() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__context__, other.__context__ = other, one
    assert overstepped(one) is None
