"""Every task of a job goes the same way: admitted, acted on, and whatever fails is told to whom it concerns."""

import logging
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from config.queues import LIST, over_key
from config.settings import Settings
from crypto import canonical, job, report, ticket
from crypto.job import FindSpec, ListSpec, Spec
from repository.errors import StoreFull
from tests.workers.broker_server import Server, broker_server
from tests.workers.working import USERS, Working, working
from workers.admission import Job, Stray
from workers.app import make_app
from workers.duty import Act, Duties
from workers.reporting import Reporter
from workers.task import TaskFailed


@pytest.fixture
def worker(tmp_path: Path, broker: Server) -> Iterator[Working]:
    with working(tmp_path, broker, "restore") as made:
        yield made


def listing(worker: Working) -> ListSpec:
    return job.ListSpec("file:///repo", worker.requester, "", b"", "file:///delivery")


Call = Callable[..., None]


def task_of(worker: Working, monkeypatch: pytest.MonkeyPatch, act: Act, *more: Any) -> Call:
    """The task as a pool process calls it, once the message is Celery's; what it sends is remembered."""
    app = make_app("restore", Settings(), worker.context.broker_url)
    duties = Duties(app, worker.process)
    monkeypatch.setattr(duties, "send", worker.send)
    # Celery gives every application of a process the tasks of all others.
    name = f"{LIST}-{len(app.tasks)}"
    duties.add(name, ListSpec, act, *more)
    task: Call = app.tasks[name]
    return task


def test_what_is_admitted_is_acted_on_with_the_rest_of_its_arguments(
    worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Spec, tuple[int | str, ...]]] = []

    def act(job: Job, reporter: Reporter, rest: tuple[int | str, ...]) -> None:
        seen.append((job.spec, rest))

    task = task_of(worker, monkeypatch, act, int, str)
    task(*worker.texts(listing(worker)), 7, "seven")
    assert seen == [(listing(worker), (7, "seven"))]
    assert worker.sent == []


def test_what_is_not_admitted_is_not_acted_on_and_only_logged(
    worker: Working, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    acted: list[None] = []
    task = task_of(worker, monkeypatch, lambda *_: acted.append(None), int)
    ticket, sealed = worker.texts(listing(worker))
    search: FindSpec = job.FindSpec("file:///repo", worker.requester, ("*",), False, (), "file:///delivery")
    with caplog.at_level(logging.WARNING, "workers.duty"):
        for arguments in (
            (),
            (ticket, sealed),
            (ticket, sealed, "7"),
            (ticket, sealed, 7, 7),
            (ticket, sealed, True),
            (sealed, ticket, 7),
            (*worker.texts(search), 7),
        ):
            task(*arguments)
    assert (acted, worker.sent) == ([], [])
    assert len(caplog.records) == 7
    assert sealed[:40] not in caplog.text


def test_no_step_of_a_job_that_is_over_begins(
    worker: Working, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    acted: list[bytes] = []
    task = task_of(worker, monkeypatch, lambda job, *_: acted.append(job.id))
    over, other = secrets.token_bytes(16), secrets.token_bytes(16)
    signed = ticket.end(worker.scheduler, over)
    # Of another job it says nothing, wherever it lies.
    for key in (over, other):
        worker.server.admin().set(over_key(key), canonical.to_text(canonical.encode(signed)))
    with caplog.at_level(logging.WARNING, "workers.duty"):
        for each in (over, other):
            task(*worker.texts(listing(worker), job=each))
    assert (acted, worker.sent) == ([other], [])
    assert "the job is over" in caplog.text


def test_a_broker_that_is_away_keeps_no_job_from_its_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acted: list[bytes] = []
    with broker_server(*USERS) as broker, working(tmp_path, broker, "restore") as worker:
        task = task_of(worker, monkeypatch, lambda job, *_: acted.append(job.id))
        broker.kill()
        task(*worker.texts(listing(worker)))
        broker.start()
    assert len(acted) == 1


def test_a_stray_message_is_no_failure_of_its_job(worker: Working, monkeypatch: pytest.MonkeyPatch) -> None:
    def act(*_: object) -> None:
        raise Stray("that segment was never planned")

    task_of(worker, monkeypatch, act)(*worker.texts(listing(worker)))
    assert worker.sent == []


def test_an_error_of_ours_ends_the_attempt_with_its_code(
    worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act(*_: object) -> None:
        raise StoreFull("no room", remedy="free some")

    task_of(worker, monkeypatch, act)(*worker.texts(listing(worker)))
    assert [(each.kind, each.code) for each in worker.reports()] == [(report.FAILED, "store-full")]


def test_any_other_error_is_told_without_its_words(
    worker: Working, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def act(*_: object) -> None:
        raise ZeroDivisionError("/home/secret-path")

    with pytest.raises(TaskFailed) as failed:
        task_of(worker, monkeypatch, act)(*worker.texts(listing(worker)))
    assert failed.value.message == "ZeroDivisionError"
    assert [(each.kind, each.code, each.retryable) for each in worker.reports()] == [
        (report.FAILED, "internal", True)
    ]
    assert "secret-path" not in caplog.text
