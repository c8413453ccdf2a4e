"""Whoever stands for the broker, in tests too, has the calls that the scheduler makes."""

import inspect

import pytest

from scheduler.parts import Publisher
from scheduler.publisher import BrokerPublisher
from tests.scheduler.world import RememberingPublisher

CALLS = [name for name in vars(Publisher) if not name.startswith("_")]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", [BrokerPublisher, RememberingPublisher])
def test_each_call_takes_the_same_arguments(kind: type[Publisher], call: str) -> None:
    due, got = (list(inspect.signature(getattr(each, call)).parameters) for each in (Publisher, kind))
    assert got == due


def test_there_are_such_calls() -> None:
    assert {"wake", "end_tickets", "push_letter", "publish_status"} <= set(CALLS)
