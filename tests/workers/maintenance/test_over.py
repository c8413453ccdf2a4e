"""A job that the scheduler says is over removes nothing: its key in the worker's cache, its message come again."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from config.queues import FORGET as FORGET_TASK
from config.queues import over_key
from config.settings import Settings
from crypto import canonical, ticket
from crypto.identity import Identity
from crypto.job import ForgetSpec, KeepPolicy, PruneSpec, SnapshotFilter, SweepSpec
from crypto.registry import SCHEDULER
from crypto.ticket import DECRYPT, ENCRYPT, FORGET, PRUNE
from repository import layout
from repository.catalog import write_snapshot
from tests.client.deliveries import now_ms
from tests.repository.conftest import Repo
from tests.workers.broker_server import Server, broker_server
from tests.workers.working import USERS, Working, working
from workers.admission import Job, Stray
from workers.app import make_app
from workers.duty import Duties
from workers.lists import BrokerUnreachable
from workers.maintenance.forget import forget
from workers.maintenance.prune import mark, sweep

FILES = {b"/a": b"a" * 20_000}
MAY = (DECRYPT, ENCRYPT, FORGET, PRUNE)
ALL = {"keep": KeepPolicy(), "filter": SnapshotFilter(("host",)), "remove_all": True}


@pytest.fixture
def worker(tmp_path: Path, broker: Server, repo: Repo) -> Iterator[Working]:
    with working(tmp_path / "worker", broker, "maintenance") as made:
        made.hold(repo, DECRYPT, ENCRYPT)  # as after any job before it
        yield made


def spec(worker: Working, repo: Repo, *ids: str, **changes: object) -> ForgetSpec:
    return ForgetSpec(repo.folder.as_uri(), worker.requester, ids, **changes)  # type: ignore[arg-type]


def end(worker: Working, job: bytes, by: Identity | None = None) -> None:
    signed = ticket.end(by or worker.scheduler, job)
    worker.server.admin().set(over_key(job), canonical.to_text(canonical.encode(signed)))


@pytest.fixture
def task(worker: Working, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The task of a forget as a pool process calls it."""
    app = make_app("maintenance", Settings(), worker.context.broker_url)
    duties = Duties(app, worker.process)
    monkeypatch.setattr(duties, "send", worker.send)
    name = f"{FORGET_TASK}-{len(app.tasks)}"
    duties.add(name, ForgetSpec, lambda job, reporter, _: forget(worker.process, job, reporter, duties.send))
    found: Callable[..., None] = app.tasks[name]
    return found


def test_a_forget_that_was_cancelled_in_the_queue_removes_nothing(
    worker: Working, repo: Repo, task: Callable[..., None]
):
    repo.backup(FILES, 1)
    job = os.urandom(16)
    texts = worker.texts(spec(worker, repo, f"{1:032x}"), job=job, operations=MAY)
    end(worker, job)
    task(*texts)
    assert (len(repo.stored(layout.SNAPSHOTS)), worker.sent) == (1, [])
    end(worker, job, by=Identity.generate(SCHEDULER))  # who is not enrolled ends nothing
    task(*texts)
    assert repo.stored(layout.SNAPSHOTS) == []


def test_a_forget_that_was_done_removes_nothing_when_its_message_comes_again(
    worker: Working, repo: Repo, task: Callable[..., None]
):
    repo.backup(FILES, 1)
    job = os.urandom(16)
    texts = worker.texts(spec(worker, repo, **ALL), job=job, operations=MAY)
    task(*texts)
    assert repo.stored(layout.SNAPSHOTS) == []
    end(worker, job)
    worker.sent.clear()
    repo.backup(FILES, 2)  # by its time older than the ticket
    task(*texts)
    assert (len(repo.stored(layout.SNAPSHOTS)), worker.sent) == (1, [])


def test_a_policy_leaves_alone_what_is_newer_than_its_ticket_though_nothing_says_that_it_is_over(
    worker: Working, repo: Repo, task: Callable[..., None]
):
    first = repo.backup(FILES, 1)
    texts = worker.texts(spec(worker, repo, **ALL), operations=MAY)
    task(*texts)
    assert repo.stored(layout.SNAPSHOTS) == []
    newer = msgspec.structs.replace(first, id=bytes(15) + b"n", time_ns=now_ms() * 1_000_000 + 1_000_000)
    write_snapshot(repo.store, repo.vault, repo.keys, 1, newer)
    task(*texts)
    assert repo.stored(layout.SNAPSHOTS) == [layout.snapshot_name(newer.id)]


def job_over_by_the_time(worker: Working, about: ForgetSpec | SweepSpec, job: bytes = b"") -> Job:
    """Admitted, and ended right after."""
    admitted = worker.job(about, job=job or os.urandom(16), operations=MAY)
    end(worker, admitted.id)
    return admitted


def test_a_forget_that_is_cancelled_after_it_began_looks_before_it_removes(worker: Working, repo: Repo):
    """However lately it has said something."""
    repo.backup(FILES, 1)
    job = job_over_by_the_time(worker, spec(worker, repo, f"{1:032x}"))
    with pytest.raises(Stray):
        forget(worker.process, job, worker.reporter(job), worker.send)
    assert (len(repo.stored(layout.SNAPSHOTS)), worker.sent) == (1, [])


def test_a_sweep_that_is_called_off_after_it_began_looks_before_it_removes(worker: Working, repo: Repo):
    repo.backup(FILES, 1)
    (repo.folder / repo.stored(layout.SNAPSHOTS)[0]).unlink()
    uri = repo.folder.as_uri()
    marking = worker.job(PruneSpec(uri, worker.requester, 0.0), operations=MAY)
    mark(worker.process, marking, worker.reporter(marking), worker.send)
    before = repo.stored("")
    assert layout.mark_name(marking.id) in before
    worker.sent.clear()
    job = job_over_by_the_time(worker, SweepSpec(uri, worker.requester, ()), marking.id)
    with pytest.raises(Stray):
        sweep(worker.process, job, worker.reporter(job), worker.send)
    assert (repo.stored(""), worker.sent) == (before, [])
    worker.server.admin().delete(over_key(job.id))
    sweep(worker.process, job, worker.reporter(job), worker.send)
    assert repo.stored(layout.PACKS) == []


def test_a_forget_that_cannot_look_removes_nothing_yet(tmp_path: Path, repo: Repo):
    repo.backup(FILES, 1)
    with broker_server(*USERS) as broker, working(tmp_path / "worker", broker, "maintenance") as worker:
        worker.hold(repo, DECRYPT, ENCRYPT)
        job = worker.job(spec(worker, repo, f"{1:032x}"), operations=MAY)
        broker.kill()
        with pytest.raises(BrokerUnreachable):
            forget(worker.process, job, worker.reporter(job), worker.send)
        assert len(repo.stored(layout.SNAPSHOTS)) == 1
        broker.start()
        forget(worker.process, job, worker.reporter(job), worker.send)
    assert repo.stored(layout.SNAPSHOTS) == []
