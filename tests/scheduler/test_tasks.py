"""The scheduler as a real role of a real stack: Celery, Valkey, and users that may do no more than they must."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from celery import Celery
from kombu.entity import Exchange, Queue

from config import queues
from config.home import Home
from config.stack_file import StackInfo, decode_line
from crypto import canonical, job, notes
from crypto.job import JobRequest
from crypto.notes import Letter, Verdict
from scheduler.ledger import Ledger
from tests.scheduler.world import VAULT, People
from tests.workers.stack_control import children_of, connect, environment, fake_roles, one_shot, until
from workers.process import now_ms

REAL_SCHEDULER = ("--role", "scheduler=scheduler.tasks")


class Installation:
    """A home with a real scheduler in a running stack; its other roles are fakes that leave jobs alone."""

    def __init__(self, folder: Path, people: People) -> None:
        self.people = people
        self.registry = people.registry()
        self.home = Home(folder)
        self.home.create()
        self.home.registry_file.write_bytes(self.registry.encode())
        (self.home.identities / "scheduler").write_bytes(people.scheduler.encode())
        self.info: StackInfo
        self.process: subprocess.Popen[bytes]

    def send(self, task: str, *arguments: str) -> None:
        """Send a task as any Celery client may."""
        app = Celery(broker=self.info.broker_url, set_as_current=False)
        exchange = Exchange("", no_declare=True)
        queue = Queue("scheduler", exchange, routing_key="scheduler", no_declare=True)
        app.send_task(task, arguments, queue=queue, ignore_result=True)
        app.close()

    def request(self, kind: str, job_id: bytes) -> str:
        spec = job.CheckSpec("file:///repo", self.people.client.public, False)
        scheduler = self.registry.identity(self.people.scheduler.id)
        sealed = job.seal_spec(spec, job_id, [scheduler]) if kind == job.CHECK else b""
        body = JobRequest(1, job_id, kind, VAULT, now_ms(), sealed, False)
        return canonical.to_text(canonical.encode(job.request(self.people.operator, body)))

    def status(self) -> dict[str, int]:
        """What the scheduler says of itself."""
        found = connect(self.info.broker_url).get(queues.status_key("scheduler"))
        return msgspec.json.decode(found, type=dict) if isinstance(found, bytes) else {}

    def verdict(self, job_id: bytes, ask_again: bool = False) -> Verdict:
        """The next verdict on a job, read and verified as a client does."""
        broker = connect(self.info.broker_url)
        for _ in range(10):
            if ask_again:
                self.send(queues.SUBMIT, self.request(job.STATUS, job_id))
            found = broker.blpop([queues.notes_list(job_id)], timeout=2)
            if found is not None:
                break
        assert isinstance(found, list | tuple), "no verdict came"
        signed = canonical.decode(Letter, bytes(found[1])).verdict
        assert signed is not None
        return notes.read_verdict(self.registry, signed, job_id)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory, people: People) -> Iterator[Installation]:
    made = Installation(tmp_path_factory.mktemp("home"), people)
    with one_shot(made.home.root, *REAL_SCHEDULER) as (info, process, _):
        made.info, made.process = info, process
        yield made


def test_any_celery_client_submits_and_reads_its_verdicts(installation: Installation) -> None:
    job_id = os.urandom(16)
    installation.send(queues.SUBMIT, installation.request(job.CHECK, job_id))
    assert installation.verdict(job_id).state == "queued"
    installation.send(queues.SUBMIT, installation.request(job.CANCEL, job_id))
    assert installation.verdict(job_id).state == "cancelled"


def test_noise_in_the_queue_is_counted_and_harms_nobody(installation: Installation) -> None:
    scheduler = children_of(installation.process.pid)["scheduler"]
    for task, *arguments in (
        (queues.SUBMIT, "noise"),
        (queues.SUBMIT, canonical.to_text(os.urandom(500))),
        (queues.SUBMIT,),
        (queues.SUBMIT, "one", "two"),
        (queues.REPORT, canonical.to_text(os.urandom(500))),
        (queues.REPORT, installation.request(job.CHECK, os.urandom(16))),
        (queues.TICK, "surplus"),
        (queues.TICK,),
    ):
        installation.send(task, *arguments)
    job_id = os.urandom(16)
    installation.send(queues.SUBMIT, installation.request(job.STATUS, job_id))
    assert installation.verdict(job_id).state == "unknown"
    assert children_of(installation.process.pid)["scheduler"] == scheduler
    installation.send(queues.TICK)
    until(lambda: installation.status().get("requests_dropped") == 2)
    assert installation.status()["reports_dropped"] == 2


def test_a_scheduler_that_is_killed_has_lost_nothing(installation: Installation) -> None:
    job_id = os.urandom(16)
    installation.send(queues.SUBMIT, installation.request(job.CHECK, job_id))
    assert installation.verdict(job_id).state == "queued"
    victim = children_of(installation.process.pid)["scheduler"]
    os.kill(victim, signal.SIGKILL)
    # The broker may hand the first message to the connection of the dead: a client asks again.
    assert installation.verdict(job_id, ask_again=True).state == "queued"
    assert children_of(installation.process.pid)["scheduler"] != victim


def test_the_scheduler_logs_no_word_of_what_jobs_are_about(installation: Installation) -> None:
    log = (installation.home.logs / "scheduler.log").read_text()
    assert "documents" not in log
    assert "file:///repo" not in log
    assert "published: maintenance.check" in log  # the control: the log is where it is expected


def test_a_stack_that_is_taken_down_interrupts_its_jobs(tmp_path: Path, people: People) -> None:
    made = Installation(tmp_path, people)
    ours, theirs = socket.socketpair()
    arguments = [
        sys.executable,
        "-m",
        "workers.stack",
        "--home",
        str(tmp_path),
        *fake_roles(),
        *REAL_SCHEDULER,
    ]
    made.process = subprocess.Popen(
        [*arguments, "--ready-fd", str(theirs.fileno())], pass_fds=(theirs.fileno(),), env=environment()
    )
    theirs.close()
    with ours, ours.makefile("rb") as answers:
        made.info = decode_line(answers.readline(65536))
    job_id = os.urandom(16)
    made.send(queues.SUBMIT, made.request(job.CHECK, job_id))
    assert made.verdict(job_id).state == "queued"
    made.process.terminate()
    assert made.process.wait(60) == 0
    ledger = Ledger(made.home.ledger_db)
    found = ledger.get(job_id)
    ledger.close()
    assert found is not None
    assert (found.state, found.code) == ("failed", "interrupted")
