"""What a requester is told of a job, and who else hears of its end."""

import msgspec
import pytest

from crypto import job
from crypto.notes import COMMIT_UNKNOWN, COMMITTING
from scheduler import verdicts
from scheduler.errors import Refused
from scheduler.lifecycle import (
    CANCELLED,
    DONE,
    FAILED,
    INTERRUPTED,
    LOST,
    NO_WORKER,
    QUEUED,
    RUNNING,
    WAITING,
    Job,
)
from tests.scheduler.world import World


def known(world: World, **changes: object) -> Job:
    return msgspec.structs.replace(world.job(world.submit()), **changes)


@pytest.mark.parametrize(
    ("changes", "state", "code"),
    [
        ({"state": WAITING}, QUEUED, ""),
        ({"state": RUNNING}, RUNNING, ""),
        ({"state": RUNNING, "committing": True}, RUNNING, COMMITTING),
        ({"state": DONE, "committing": True}, DONE, ""),
        ({"state": CANCELLED}, CANCELLED, ""),
        ({"state": FAILED, "code": "StoreFull", "committing": True}, FAILED, "StoreFull"),
    ],
)
def test_how_a_job_stands(world: World, changes: dict[str, object], state: str, code: str) -> None:
    verdict = verdicts.standing(known(world, outcome=b"sealed", kms_calls=3, attempts=2, **changes))
    assert (verdict.state, verdict.code) == (state, code)
    assert (verdict.kms_calls, verdict.attempts, verdict.outcome) == (3, 2, b"sealed")
    assert bool(verdict.message) == bool(verdict.remedy) == (state == FAILED)


def test_every_failure_has_words_of_its_own_and_says_what_to_do(world: World) -> None:
    codes = (
        INTERRUPTED,
        NO_WORKER,
        LOST,
        COMMIT_UNKNOWN,
        verdicts.NO_STACK,
        verdicts.VAULT_UNKNOWN,
        "CodeOfAWorker",
    )
    failed = known(world, state=FAILED)
    told = [verdicts.standing(msgspec.structs.replace(failed, code=code)) for code in codes]
    assert len({verdict.message for verdict in told}) == len(codes)
    assert all(verdict.remedy for verdict in told)


def test_a_refusal_is_told_as_it_is() -> None:
    verdict = verdicts.refusal(b"j" * 16, Refused("expired", "too old", remedy="again"))
    assert (verdict.job, verdict.state, verdict.code) == (b"j" * 16, FAILED, "expired")
    assert (verdict.message, verdict.remedy, verdict.attempts) == ("too old", "again", 0)


def test_a_verdict_that_cannot_be_sent_changes_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    parts = world.parts()
    stands = known(world)
    world.publisher.down = True
    verdicts.send(parts, verdicts.standing(stands))
    verdicts.end_tickets(parts, stands)
    assert "no verdict sent" in caplog.text
    assert "end by their time" in caplog.text


def test_nobody_waits_for_the_schedulers_own_jobs_but_their_tickets_end(world: World) -> None:
    parts = world.parts()
    ended = known(world, state=DONE, operator=parts.identity.id)
    before = len(world.publisher.letters)
    verdicts.announce(parts, ended)
    assert len(world.publisher.letters) == before
    assert len(world.publisher.ends) == 1


def test_a_job_without_keys_has_no_tickets_to_end(world: World) -> None:
    verdicts.announce(world.parts(), known(world, state=DONE, kind=job.TIDY))
    assert world.publisher.ends == []
