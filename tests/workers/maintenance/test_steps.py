"""Checking, tidying and extending locks, as a worker does them."""

import pytest

from crypto.errors import KeyRefused
from workers.maintenance import steps
from workers.maintenance.steps import TooLong


def test_a_job_that_outlasts_its_ticket_is_not_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = KeyRefused("expired", "the ticket has expired", retryable=False)
    with pytest.raises(KeyRefused), steps.in_time("in parts"):
        raise refused
    monkeypatch.setattr(steps, "LONG_S", -1.0)
    with pytest.raises(TooLong) as error, steps.in_time("in parts"):
        raise refused
    assert error.value.remedy == "in parts"
    with pytest.raises(KeyRefused), steps.in_time("in parts"):
        raise KeyRefused("stale-fence", "another attempt has begun")
