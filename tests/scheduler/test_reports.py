import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crypto import canonical, job, ticket
from crypto.certificate import LIFETIME_MS, SKEW_MS, ProcessKeys
from crypto.identity import Identity
from crypto.registry import BACKUP, MAINTENANCE, RESTORE
from crypto.signing import Domain, Signed
from scheduler import reports
from scheduler.errors import Dropped
from scheduler.lifecycle import LEASE_MS, MAX_ATTEMPTS, Job
from tests.scheduler.world import NOW, OTHER_VAULT, World, enrol

LATER = NOW + 30_000


def take(world: World, text: object, at_ms: int = NOW) -> Job:
    return reports.report(world.parts(), text, at_ms)


def test_alive_renews_the_lease_and_counts_kms_calls(world: World) -> None:
    job_id = world.submit()
    take(world, world.report(job_id, "alive", kms_calls=2), LATER)
    found = take(world, world.report(job_id, "alive", kms_calls=3), LATER)
    assert (found.state, found.lease_until_ms, found.kms_calls) == ("running", LATER + LEASE_MS, 5)


def test_a_report_counts_once(world: World) -> None:
    job_id = world.submit()
    text = world.report(job_id, "alive", kms_calls=2)
    take(world, text)
    with pytest.raises(Dropped):
        take(world, text, LATER)
    assert world.job(job_id).kms_calls == 2
    assert world.job(job_id).lease_until_ms == NOW + LEASE_MS


def test_done_ends_the_job_with_its_sealed_outcome(world: World) -> None:
    job_id = world.submit()
    take(world, world.report(job_id, "done", outcome=b"sealed", kms_calls=1))
    queued, done = world.verdicts(job_id)
    assert queued.state == "queued"
    assert (done.state, done.outcome, done.kms_calls) == ("done", b"sealed", 1)
    assert world.job(job_id).sealed_spec == b""


def test_a_failure_for_good_ends_the_job(world: World) -> None:
    job_id = world.submit()
    take(world, world.report(job_id, "failed", code="kms-key-disabled", outcome=b"words"))
    verdict = world.verdicts(job_id)[-1]
    assert (verdict.state, verdict.code, verdict.outcome) == ("failed", "kms-key-disabled", b"words")
    assert verdict.message
    assert verdict.remedy


@pytest.mark.parametrize("how", [{"code": "kms-unavailable", "retryable": True}, {"code": "expired"}])
def test_a_failure_worth_another_try_is_tried_under_the_next_fence(
    world: World, how: dict[str, object]
) -> None:
    job_id = world.submit()
    found = take(world, world.report(job_id, "failed", **how))  # type: ignore[arg-type]
    assert (found.state, found.fence, found.attempts) == ("waiting", 2, 2)
    world.scheduler().tick(NOW + 1000)
    assert len(world.publisher.wakes) == 1, "there is a pause"
    world.scheduler().tick(found.lease_until_ms)
    assert [wake.ticket.fence for wake in world.publisher.wakes] == [1, 2]


def test_after_the_last_attempt_the_workers_own_words_are_the_verdict(world: World) -> None:
    job_id = world.submit()
    at = NOW
    for fence in range(1, MAX_ATTEMPTS + 1):
        text = world.report(
            job_id, "failed", fence=fence, code="kms-unavailable", retryable=True, outcome=b"w"
        )
        at = take(world, text, at).lease_until_ms or at
        world.scheduler().tick(at)
    verdict = world.verdicts(job_id)[-1]
    assert (verdict.state, verdict.code, verdict.attempts) == ("failed", "kms-unavailable", MAX_ATTEMPTS)
    assert len(world.publisher.wakes) == MAX_ATTEMPTS


def test_a_restore_is_done_when_every_segment_is(world: World) -> None:
    job_id = world.submit(job.RESTORE)

    def say(kind: str, **more: int) -> Job:
        return take(world, world.report(job_id, kind, role=RESTORE, **more))  # type: ignore[arg-type]

    assert say("segment", segment=2).state == "running"  # may overtake the plan
    assert say("planned", segments=3).state == "running"
    assert say("segment", segment=0).state == "running"
    assert say("segment", segment=0).state == "running"  # the same again counts once
    assert say("segment", segment=7).state == "running"  # there is no such segment
    assert say("segment", segment=1).state == "done"
    assert world.verdicts(job_id)[-1].state == "done"


def test_a_restore_of_nothing_is_done_when_planned(world: World) -> None:
    job_id = world.submit(job.RESTORE)
    assert take(world, world.report(job_id, "planned", role=RESTORE, segments=0)).state == "done"


def test_segments_of_an_earlier_attempt_do_not_count(world: World) -> None:
    job_id = world.submit(job.RESTORE)
    take(world, world.report(job_id, "segment", role=RESTORE, segment=0))
    take(world, world.report(job_id, "failed", role=RESTORE, retryable=True))
    world.scheduler().tick(NOW + 5000)
    assert world.job(job_id).fence == 2
    found = take(world, world.report(job_id, "planned", role=RESTORE, fence=2, segments=1))
    assert found.state == "running"


def test_the_last_step_of_a_backup_is_woken_once_when_every_segment_is_done(world: World) -> None:
    job_id = world.submit()

    def say(kind: str, **more: int) -> list[str]:
        assert take(world, world.report(job_id, kind, **more)).state == "running"  # type: ignore[arg-type]
        return [wake.task for wake in world.publisher.wakes]

    first = ["backup.plan"]
    assert say("segment", segment=1) == first  # may overtake the plan
    assert say("planned", segments=3) == first
    assert say("segment", segment=1) == first  # the same again counts once
    assert say("segment", segment=3) == first  # there is no such segment
    assert say("segment", segment=0) == first
    last = [*first, "backup.finalize"]
    assert say("segment", segment=2) == last
    assert say("segment", segment=2) == last
    begun, ended = world.publisher.wakes
    assert (ended.ticket.job, ended.ticket.fence) == (job_id, 1)
    assert ended.ticket.jti != begun.ticket.jti and ended.spec == begun.spec
    assert [ticket.COMMIT in wake.ticket.operations for wake in (begun, ended)] == [False, True]


def test_the_last_step_is_woken_by_a_plan_that_comes_after_its_segments(world: World) -> None:
    job_id = world.submit()
    take(world, world.report(job_id, "segment", segment=0))
    take(world, world.report(job_id, "planned", segments=1))
    assert [wake.task for wake in world.publisher.wakes] == ["backup.plan", "backup.finalize"]


def test_the_last_step_is_not_woken_for_what_an_earlier_attempt_did(world: World) -> None:
    job_id = world.submit()
    take(world, world.report(job_id, "planned", segments=2))
    take(world, world.report(job_id, "segment", segment=0))
    take(world, world.report(job_id, "failed", retryable=True))
    world.scheduler().tick(NOW + 5000)
    take(world, world.report(job_id, "planned", fence=2, segments=2))
    take(world, world.report(job_id, "segment", fence=2, segment=1))
    assert [wake.task for wake in world.publisher.wakes] == ["backup.plan", "backup.plan"]


def test_a_backup_of_nothing_new_is_not_woken_by_the_scheduler(world: World) -> None:
    job_id = world.submit()
    take(world, world.report(job_id, "planned", segments=0))  # its planner says when it is ready
    assert [wake.task for wake in world.publisher.wakes] == ["backup.plan"]
    take(world, world.report(job_id, "ready"))
    assert [wake.task for wake in world.publisher.wakes] == ["backup.plan", "backup.finalize"]
    assert ticket.COMMIT in world.publisher.wakes[-1].ticket.operations


def test_a_backup_that_may_commit_is_not_cancelled_any_more(world: World) -> None:
    job_id = world.submit()
    take(world, world.report(job_id, "ready"))
    cancel = world.sign(world.body(job.CANCEL, job=job_id))
    world.scheduler().submit(cancel, NOW)
    assert (world.verdicts(job_id)[-1].state, world.verdicts(job_id)[-1].code) == ("running", "committing")
    # Nor in a later attempt: the first one's last step may still be at it.
    take(world, world.report(job_id, "failed", code="store-unreachable", retryable=True))
    world.scheduler().tick(LATER)
    assert world.job(job_id).fence == 2
    world.scheduler().submit(cancel, NOW)
    assert not world.job(job_id).over
    take(world, world.report(job_id, "done", fence=2))
    assert world.job(job_id).state == "done"


def test_a_cancelled_backup_is_never_let_commit(world: World) -> None:
    job_id = world.submit()
    take(world, world.report(job_id, "planned", segments=1))
    world.scheduler().submit(world.sign(world.body(job.CANCEL, job=job_id)), NOW)
    for kind in ("segment", "ready"):
        with pytest.raises(Dropped):
            take(world, world.report(job_id, kind))
    assert [ticket.COMMIT in wake.ticket.operations for wake in world.publisher.wakes] == [False]


def test_of_a_commit_that_failed_is_said_that_nobody_knows_and_then_what_is_known(world: World) -> None:
    job_id = world.submit()
    take(world, world.report(job_id, "ready"))
    take(world, world.report(job_id, "failed", code="store-denied"))
    verdict = world.verdicts(job_id)[-1]
    assert (verdict.state, verdict.code) == ("failed", "commit-unknown")
    assert "snapshots" in verdict.remedy
    with pytest.raises(Dropped):
        take(world, world.report(job_id, "failed", code="store-denied"))
    take(world, world.report(job_id, "done"))
    assert (world.job(job_id).state, world.job(job_id).code) == ("done", "")
    with pytest.raises(Dropped):
        take(world, world.report(job_id, "done"))


@pytest.mark.parametrize("fence", [0, 2, 3, -1, 2**63])
def test_reports_of_any_other_fence_are_dropped(world: World, fence: int) -> None:
    job_id = world.submit()
    with pytest.raises(Dropped):
        take(world, world.report(job_id, "done", fence=fence))
    assert world.job(job_id).state == "queued"


def test_a_fence_that_was_not_published_yet_has_no_worker(world: World) -> None:
    job_id = world.submit()
    take(world, world.report(job_id, "failed", retryable=True))
    with pytest.raises(Dropped):
        take(world, world.report(job_id, "done", fence=2))


def test_a_job_that_is_over_stays_as_it_is(world: World) -> None:
    job_id = world.submit()
    take(world, world.report(job_id, "failed", code="store-full"))
    with pytest.raises(Dropped):
        take(world, world.report(job_id, "done"))
    assert world.job(job_id).code == "store-full"


WRONG: dict[str, dict[str, object]] = {
    "another role": {"role": RESTORE},
    "another role in the body": {"claims": RESTORE},
    "unknown job": {"job_id": b"x" * 16},
    "short job id": {"job": b"short"},
    "short report id": {"id": b""},
    "unknown kind": {"kind": "erase"},
    "unknown version": {"version": 2},
    "too many segments": {"segments": 2**63},
    "negative segment": {"segment": -1},
    "calls beyond reason": {"kms_calls": 2**64 - 1},
    "negative calls": {"kms_calls": -5},
    "a code with words": {"code": "could not read /home/secret"},
    "a long code": {"code": "x" * 65},
}


@pytest.mark.parametrize("case", WRONG)
def test_a_report_that_is_not_in_order_changes_nothing(world: World, case: str) -> None:
    arguments: dict[str, object] = {"job_id": world.submit(), "kind": "done"}
    before = world.ledger.newest(1)
    with pytest.raises(Dropped):
        take(world, world.report(**(arguments | WRONG[case])))  # type: ignore[arg-type]
    assert world.ledger.newest(1) == before


@pytest.mark.parametrize("who", ["stranger", "operator", "maintenance"])
def test_a_report_of_nobody_entitled_is_dropped(world: World, who: str) -> None:
    signer: Identity = {
        "stranger": world.people.stranger,
        "operator": world.people.operator,
        "maintenance": world.people.workers[MAINTENANCE],
    }[who]
    job_id = world.submit()
    with pytest.raises(Dropped):
        take(world, world.report(job_id, "done", signer=signer))
    assert world.job(job_id).state == "queued"


def test_a_worker_of_another_vault_is_dropped(world: World) -> None:
    job_id = world.submit()
    worker = enrol(world.people.workers[BACKUP], BACKUP, vaults=(OTHER_VAULT,))
    world.registry = world.registry.with_identity(worker)
    with pytest.raises(Dropped):
        take(world, world.report(job_id, "done"))


def test_a_certificate_out_of_its_time_is_dropped(world: World) -> None:
    job_id = world.submit()
    for made in (NOW - LIFETIME_MS - 1, NOW + SKEW_MS + 1):
        with pytest.raises(Dropped):
            take(world, world.report(job_id, "done", at_ms=made))


def test_every_altered_byte_of_a_report_is_noticed(world: World) -> None:
    good = canonical.from_text(world.report(job_id := world.submit(), "done"))
    for position in range(0, len(good), 5):
        bad = bytearray(good)
        bad[position] ^= 1
        with pytest.raises(Dropped):
            take(world, canonical.to_text(bytes(bad)))
    assert world.job(job_id).state == "queued"
    assert take(world, canonical.to_text(good)).state == "done"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=400), st.text(max_size=200), st.integers(), st.none()))
def test_noise_is_dropped(world: World, noise: object) -> None:
    for argument in (noise, canonical.to_text(noise) if isinstance(noise, bytes) else noise):
        with pytest.raises(Dropped):
            take(world, argument)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200))
def test_noise_under_a_good_signature_is_dropped(world: World, body: bytes) -> None:
    keys = ProcessKeys(world.people.workers[BACKUP], BACKUP, NOW)
    signed = keys.sign(Domain.REPORT, Signed(body, body, body))
    with pytest.raises(Dropped):
        take(world, canonical.to_text(canonical.encode(signed)))


@pytest.mark.parametrize("end", ["done", "failed", "cancelled"])
def test_the_key_broker_is_told_of_a_jobs_end_and_of_nothing_before(world: World, end: str) -> None:
    job_id = world.submit()
    take(world, world.report(job_id, "alive"))
    take(world, world.report(job_id, "failed", code="store-unreachable", retryable=True))
    world.scheduler().tick(LATER)
    assert world.publisher.ends == []
    if end == "cancelled":
        world.scheduler().submit(world.sign(world.body(job.CANCEL, job=job_id)), NOW)
    else:
        take(world, world.report(job_id, end, fence=world.job(job_id).fence))
    assert [ticket.verify_end(world.registry, each) for each in world.publisher.ends] == [job_id]
