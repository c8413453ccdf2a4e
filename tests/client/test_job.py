import gc
import os
import signal
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from client.errors import BrokerUnreachable, Interrupted, JobFailed, SchedulerSilent
from client.job import Job, Patience
from client.listing import ask
from crypto import job as jobs
from crypto import notes
from crypto.hpke import HpkeKey
from crypto.identity import Identity
from crypto.job import JobRequest
from crypto.registry import RESTORE, SCHEDULER
from tests.client.scripted import World, running_server

QUICK = Patience(ask_after_s=0.3, resend_after_s=0.8, give_up_after_s=2.5)


@pytest.fixture(autouse=True)
def _short_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.job.POLL_S", 0.1)
    monkeypatch.setattr(Job.next, "__defaults__", (0.1,))


def job_of(world: World, patience: Patience = QUICK) -> Job:
    return Job(
        world.session,
        jobs.CHECK,
        world.vault.id,
        lambda key: jobs.CheckSpec(world.vault.repo, key, True),
        patience,
    )


def test_a_job_from_the_request_to_the_outcome(world: World):
    def answer(request: JobRequest) -> None:
        spec = world.spec(request)
        assert isinstance(spec, jobs.CheckSpec)
        assert spec.read_data
        world.verdict(request, "queued")
        world.note(request, notes.Planned(2, 10, 1000))
        world.note(request, notes.Progress(0, 5, 500))
        outcome = notes.Outcome(b'{"ok": 1}', ((b"/bad", "why"),))
        world.verdict(request, "done", kms_calls=3, outcome=outcome)

    heard: list[notes.Note] = []
    with world.serving(answer):
        finished = job_of(world).run(heard.append)
    assert heard == [notes.Planned(2, 10, 1000), notes.Progress(0, 5, 500)]
    assert (finished.json, finished.errors, finished.kms_calls) == (b'{"ok": 1}', ((b"/bad", "why"),), 3)


def test_a_failure_in_the_workers_words(world: World):
    def answer(request: JobRequest) -> None:
        failure = notes.Failure("kms-key-disabled", "the key is disabled", "enable it")
        world.verdict(request, "failed", code="kms-key-disabled", message="x", outcome=failure)

    with world.serving(answer), pytest.raises(JobFailed) as caught:
        job_of(world).run()
    assert (caught.value.code, caught.value.message, caught.value.remedy) == (
        "kms-key-disabled",
        "the key is disabled",
        "enable it",
    )


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_failure_in_the_schedulers_words(world: World, state: str):
    def answer(request: JobRequest) -> None:
        world.verdict(request, state, code="expired", message="too late", remedy="again", outcome=b"junk")

    with world.serving(answer), pytest.raises(JobFailed, match="too late") as caught:
        job_of(world).run()
    assert caught.value.code == "expired"


def test_a_result_that_does_not_verify_is_not_believed(world: World):
    def answer(request: JobRequest) -> None:
        world.verdict(request, "done", outcome=b"junk")

    with world.serving(answer), pytest.raises(JobFailed, match="does not verify"):
        job_of(world).run()


def test_a_store_that_does_not_answer_is_told_once_while_it_is_tried(
    world: World, capsys: pytest.CaptureFixture[str]
):
    ends = [time.time_ns() // 1_000_000 + 3_600_000 + step for step in range(3)]

    def answer(request: JobRequest) -> None:
        for until_ms in ends:
            world.note(request, notes.Waiting("s3://b: refused\x1b[2J", until_ms))
        world.verdict(request, "done", outcome=notes.Outcome(b"{}", ()))

    heard: list[notes.Note] = []
    with world.serving(answer):
        job_of(world).run(heard.append)
    until = datetime.fromtimestamp(ends[0] // 1000, UTC).strftime("%H:%M:%SZ")
    assert heard == []
    assert capsys.readouterr().err.splitlines() == [
        f"strongroom: the store does not answer: s3://b: refused\\x1b[2J; trying again until {until}"
    ]


def test_letters_that_do_not_verify_are_dropped_and_counted(world: World):
    stranger, other = Identity.generate(SCHEDULER), Identity.generate(RESTORE)

    def answer(request: JobRequest) -> None:
        requester = world.spec(request).requester
        world.push(request.job, b"junk")
        forged = notes.Verdict(request.job, "done", "", "", "", 0, 1, b"")
        world.push(request.job, notes.Letter(None, notes.write_verdict(stranger, forged)))
        for job in (os.urandom(16), request.job):
            key = HpkeKey.generate().public if job == request.job else requester
            sealed = notes.write_note(world.keys, RESTORE, job, key, notes.Planned(9, 9, 9))
            world.push(request.job, notes.Letter(sealed, None))
        foreign = notes.Verdict(os.urandom(16), "done", "", "", "", 0, 1, b"")
        world.push(request.job, notes.Letter(None, notes.write_verdict(world.scheduler, foreign)))
        impostor = notes.Verdict(request.job, "done", "", "", "", 0, 1, b"")
        world.push(request.job, notes.Letter(None, notes.write_verdict(other, impostor)))
        world.verdict(request, "done", outcome=notes.Outcome(b"{}", ()))

    heard: list[notes.Note] = []
    with world.serving(answer):
        assert job_of(world).run(heard.append).json == b"{}"
    assert heard == []
    assert world.session.dropped == 6


def test_silence_is_met_with_a_question_and_the_request_is_sent_again(world: World):
    def answer(request: JobRequest) -> None:
        if [each.kind for each in world.heard].count(jobs.CHECK) == 2:
            world.verdict(request, "done", outcome=notes.Outcome(b"{}", ()))

    with world.serving(answer):
        job_of(world).run()
    kinds = [each.kind for each in world.heard]
    assert kinds[0] == jobs.CHECK
    assert jobs.STATUS in kinds
    assert len({each.job for each in world.heard}) == 1, "it is the same job every time"
    first, again = (each for each in world.heard if each.kind == jobs.CHECK)
    assert first == again


def test_an_answer_to_the_question_ends_the_job(world: World):
    """The verdict was lost with the broker; the ledger still has it."""
    lost: list[JobRequest] = []

    def answer(request: JobRequest) -> None:
        if request.kind == jobs.STATUS:
            world.verdict(lost[0], "done", outcome=notes.Outcome(b'{"kept": 1}', ()))
        else:
            lost.append(request)
            world.verdict(request, "running")

    with world.serving(answer):
        assert job_of(world).run().json == b'{"kept": 1}'


def test_a_job_that_the_scheduler_does_not_know_is_submitted_again(world: World):
    def answer(request: JobRequest) -> None:
        if len(world.heard) == 1:
            world.verdict(request, "unknown")
        else:
            world.verdict(request, "done", outcome=notes.Outcome(b"{}", ()))

    with world.serving(answer):
        job_of(world).run()
    assert [each.kind for each in world.heard] == [jobs.CHECK, jobs.CHECK]


def test_a_scheduler_that_never_answers_is_given_up(world: World):
    with pytest.raises(SchedulerSilent):
        job_of(world).run()


def test_a_broker_that_comes_back_is_waited_for(world: World):
    with running_server() as server:
        restarted = World(world.session.installation.home.root / "other", server)

        def answer(request: JobRequest) -> None:
            if request.kind == jobs.STATUS:
                restarted.verdict(restarted.heard[0], "done", outcome=notes.Outcome(b"{}", ()))
            else:
                server.stop()
                time.sleep(0.5)
                server.start()

        with restarted.serving(answer):
            job_of(restarted).run()
        restarted.session.mailbox.close()
        restarted.session.publisher.close()


def test_a_broker_that_stays_away_is_named(world: World):
    with running_server() as server:
        gone = World(world.session.installation.home.root / "other", server)
        job = job_of(gone)
        job.submit()
        server.stop()
        with pytest.raises(BrokerUnreachable):  # noqa: PT012 - it takes as many calls as its patience lasts
            while True:
                job.next()
        gone.session.mailbox.close()
        gone.session.publisher.close()


def test_ctrl_c_cancels_the_job(world: World):
    def answer(request: JobRequest) -> None:
        if request.kind == jobs.CANCEL:
            world.verdict(request, "cancelled", code="cancelled")
        else:
            world.verdict(request, "running")
            os.kill(os.getpid(), signal.SIGINT)

    with world.serving(answer), pytest.raises(Interrupted) as caught:
        job_of(world).run()
    # The signal may have hit the broker's client while it connected: what it left half made goes now, unblamed.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    assert caught.value.exit_code == 130
    assert [each.kind for each in world.heard] == [jobs.CHECK, jobs.CANCEL]


@pytest.mark.parametrize(
    ("kind", "make_spec", "certain"),
    [
        (jobs.FORGET, lambda key: jobs.ForgetSpec("file:///r", key, ("12ab",)), False),
        (jobs.FORGET, lambda key: jobs.ForgetSpec("file:///r", key, ("12ab",), dry_run=True), True),
        (jobs.PRUNE, lambda key: jobs.PruneSpec("file:///r", key, 0.0), False),
        (jobs.PRUNE, lambda key: jobs.PruneSpec("file:///r", key, 0.0, dry_run=True), True),
        (jobs.CHECK, lambda key: jobs.CheckSpec("file:///r", key, False), True),
    ],
)
def test_what_removes_is_not_said_to_be_cancelled_as_if_nothing_had_gone(
    world: World, kind: str, make_spec: Callable[[bytes], jobs.Spec], certain: bool
):
    def answer(request: JobRequest) -> None:
        world.verdict(request, "cancelled", code="cancelled")

    job = Job(world.session, kind, world.vault.id, make_spec, QUICK)
    with world.serving(answer):
        said, remedy = job.cancel()
    assert (said == "the job was cancelled") == certain
    assert ("may have removed" in said) == ("strongroom snapshots" in remedy) == (not certain)


def test_a_question_to_the_scheduler(world: World):
    def answer(request: JobRequest) -> None:
        sealed = notes.seal_answer(world.spec(request).requester, request.job, b'[{"name": "nightly"}]')
        world.verdict(request, "done", outcome=sealed)

    with world.serving(answer):
        assert ask(world.session, "schedules") == [{"name": "nightly"}]
    assert world.heard[0].vault == bytes(16)
