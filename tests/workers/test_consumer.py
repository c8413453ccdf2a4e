"""Celery is handed what was checked, under headers of ours; all else is rejected and never repeated in the log."""

import json
from typing import Any

import pytest
from celery import signals
from celery.worker.consumer import Consumer

from workers.consumer import StrictConsumer
from workers.redact import SEALED

TASK = "backup.plan"


class Message:
    """What kombu delivers."""

    def __init__(self, headers: object, body: str) -> None:
        self.headers = headers
        self.body = body
        self.rejected = 0

    def reject_log_error(self, logger: object, errors: object) -> None:
        self.rejected += 1


def message(task: str = TASK, body: object = (["ticket", "spec"], {}, {}), **headers: object) -> Message:
    good = {"lang": "py", "task": task, "id": "i-1", "root_id": "i-1", "parent_id": None, "expires": None}
    return Message(good | {"retries": 0, "argsrepr": "secret"} | headers, json.dumps(body))


@pytest.fixture
def accepted(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """What Celery is handed."""
    found: list[Message] = []
    monkeypatch.setattr(Consumer, "create_task_handler", lambda _, *__, **___: found.append)
    return found


@pytest.fixture
def consumer() -> StrictConsumer:
    made = StrictConsumer.__new__(StrictConsumer)
    made.strategies = {TASK: None}
    made.connection_errors = ()
    return made


def test_a_plain_call_is_handed_on_without_what_its_sender_added(
    accepted: list[Message], consumer: StrictConsumer
) -> None:
    good = message()
    consumer.create_task_handler()(good)
    assert accepted == [good]
    headers: Any = good.headers
    assert (headers["task"], headers["argsrepr"], headers["retries"]) == (TASK, SEALED, 0)
    assert good.rejected == 0


@pytest.mark.parametrize(
    "bad",
    [
        message("backup.unknown"),
        message("celery.chain"),
        message(body=([], {"path": "x"}, {})),
        message(body=(["a"], {}, {"chain": ["x"]})),
        message(eta="2030-01-01"),
        Message(None, "[]"),
        Message({}, "no json of secret"),
    ],
)
def test_anything_else_is_rejected_and_told_without_its_content(
    accepted: list[Message], consumer: StrictConsumer, bad: Message, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []

    def hear(exc: Exception, **_: object) -> None:
        heard.append(str(exc))

    signals.task_rejected.connect(hear)
    try:
        consumer.create_task_handler()(bad)
    finally:
        signals.task_rejected.disconnect(hear)
    assert (accepted, bad.rejected, len(heard)) == ([], 1, 1)
    assert "refused a message" in caplog.text
    assert "secret" not in caplog.text


def test_what_celery_finds_wrong_is_told_by_its_class(
    consumer: StrictConsumer, caplog: pytest.LogCaptureFixture
) -> None:
    for handle in (
        lambda bad: consumer.on_invalid_task({"secret": 1}, bad, ValueError("secret")),
        lambda bad: consumer.on_decode_error(bad, UnicodeError("secret")),
    ):
        bad = message()
        handle(bad)
        assert bad.rejected == 1
    assert "ValueError" in caplog.text and "UnicodeError" in caplog.text
    assert "secret" not in caplog.text
