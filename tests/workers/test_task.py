"""What every task is: called by place, answered by nothing, and silent about what it was called with."""

from typing import Any

import pytest
from celery.exceptions import Ignore, Reject
from kombu.exceptions import OperationalError

from config.queues import BACKUP, BACKUP_SEGMENT, REPORT
from config.settings import Settings
from workers.app import SealedApp, make_app
from workers.task import SealedTask, StrictRequest, TaskFailed, send

NOBODY = "redis+socket://backup:x@/nonexistent/valkey.sock?virtual_host=0"


def app() -> SealedApp:
    return make_app(BACKUP, Settings(), NOBODY)


def raising(error: BaseException) -> SealedTask:
    made = app()

    def work(*_: Any) -> None:
        raise error

    # Celery gives every application of a process the tasks of all others.
    name = f"backup.raise-{len(made.tasks)}"
    made.task(name=name)(work)
    task: SealedTask = made.tasks[name]
    return task


def test_an_error_is_told_by_its_class_and_nothing_of_its_text_is_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(TaskFailed) as failed:
        raising(ValueError("/home/secret-path"))("argument-secret")
    assert failed.value.message == "ValueError"
    assert (failed.value.__cause__, failed.value.__suppress_context__) == (None, True)
    assert "ValueError" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("error", [Ignore(), Reject("why"), SystemExit(3)])
def test_what_celery_is_told_on_purpose_gets_through(error: BaseException) -> None:
    with pytest.raises(type(error)):
        raising(error)()


def test_arguments_by_name_are_refused() -> None:
    with pytest.raises(TypeError, match="named"):
        raising(ValueError()).apply_async(kwargs={"path": "/home"})


@pytest.mark.parametrize(
    ("before", "asked", "given"), [(False, True, True), (True, True, False), (False, False, False)]
)
def test_a_message_is_put_back_once(
    monkeypatch: pytest.MonkeyPatch, before: bool, asked: bool, given: bool
) -> None:
    requeued: list[bool] = []
    monkeypatch.setattr(StrictRequest.__mro__[1], "reject", lambda _, requeue: requeued.append(requeue))
    request = StrictRequest.__new__(StrictRequest)
    request._request_dict = {"redelivered": before}
    request.reject(requeue=asked)
    assert requeued == [given]


@pytest.mark.parametrize(
    ("own", "task", "queue", "expected"),
    [
        ("backup", BACKUP_SEGMENT, None, "backup"),
        ("backup.desk", BACKUP_SEGMENT, None, "backup.desk"),
        ("backup.desk", REPORT, None, "scheduler"),
        ("scheduler", BACKUP_SEGMENT, "backup.desk", "backup.desk"),
    ],
)
def test_a_step_of_ones_own_role_stays_on_the_host_and_all_else_goes_where_it_belongs(
    monkeypatch: pytest.MonkeyPatch, own: str, task: str, queue: str | None, expected: str
) -> None:
    made = app()
    made.conf.task_default_queue = own
    sent: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(made, "send_task", lambda name, **options: sent.append((name, options)))
    send(made, task, "secret", 7, queue=queue)
    ((name, options),) = sent
    assert (name, options["args"], options["queue"].name) == (task, ("secret", 7), expected)
    assert "secret" not in options["argsrepr"]


def test_without_a_broker_sending_is_an_error() -> None:
    with pytest.raises(OperationalError):
        send(app(), REPORT, "x")
