"""Listings in pages: all of them, in order, and no circle is followed."""

from collections.abc import Callable, Mapping
from itertools import count, islice
from typing import Any

import pytest

from repository.errors import StoreUnsupported
from repository.s3.pages import MAX_EMPTY, MAX_PAGES, few, listed

Ask = Callable[[dict[str, str]], Mapping[str, Any]]


def answering(*answers: Mapping[str, Any]) -> tuple[Ask, list[dict[str, str]]]:
    """A server that gives these answers, the last again and again, and what it was asked."""
    asked: list[dict[str, str]] = []

    def ask(more: dict[str, str]) -> Mapping[str, Any]:
        asked.append(more)
        return answers[min(len(asked), len(answers)) - 1]

    return ask, asked


def page(*names: str, more: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"Contents": [{"Key": name} for name in names]} if names else {}
    return found if more is None else found | {"IsTruncated": True, "NextContinuationToken": more}


def test_every_page_is_asked_for_by_the_token_of_the_one_before() -> None:
    ask, asked = answering(page("a", "b", more="one"), page(more="two"), page("c"))
    found = [entry["Key"] for entries in listed(ask, {"StartAfter": "0"}, "s3://b") for entry in entries]
    assert found == ["a", "b", "c"]
    assert asked == [{"StartAfter": "0"}, {"ContinuationToken": "one"}, {"ContinuationToken": "two"}]


def test_a_page_is_asked_for_when_it_is_taken() -> None:
    ask, asked = answering(page("a", more="one"), page("b"))
    next(listed(ask, {}, "s3://b"))
    assert len(asked) == 1


@pytest.mark.parametrize(
    "answers",
    [
        [{"Contents": [{"Key": "a"}], "IsTruncated": True}],
        [page("a", more="")],
        [page("a", more="same"), page("b", more="same")],
    ],
)
def test_a_listing_that_goes_on_and_does_not_say_how_is_refused(answers: list[Mapping[str, Any]]) -> None:
    ask, asked = answering(*answers)
    with pytest.raises(StoreUnsupported, match="s3://b") as refused:
        list(islice(listed(ask, {}, "s3://b"), 10))
    assert "another server" in refused.value.remedy
    assert len(asked) == len(answers)


def test_so_many_empty_pages_are_passed_over_and_no_more() -> None:
    numbers = count()
    asked = 0

    def ask(_: dict[str, str]) -> Mapping[str, Any]:
        nonlocal asked
        asked += 1
        return page(*(["a"] if asked == MAX_EMPTY else []), more=str(next(numbers)))

    with pytest.raises(StoreUnsupported):
        list(islice(listed(ask, {}, "s3://b"), 10 * MAX_EMPTY))
    assert asked == MAX_EMPTY + MAX_EMPTY + 1, "a page with something on it begins the count anew"


def test_a_list_of_few_has_an_end() -> None:
    assert list(few(range(MAX_PAGES), "s3://b")) == list(range(MAX_PAGES))
    taken: list[int] = []
    with pytest.raises(StoreUnsupported, match="no end"):
        taken += islice(few(count(), "s3://b"), 2 * MAX_PAGES)
