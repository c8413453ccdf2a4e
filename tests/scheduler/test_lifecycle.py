from hypothesis import given
from hypothesis import strategies as st

from scheduler import lifecycle
from scheduler.lifecycle import CLAIM_MS, DEFER_MS, ENDED, MAX_ATTEMPTS, PATIENCE_MS, Job

NOW = 1_800_000_000_000

JOBS = st.builds(
    Job,
    id=st.just(b"j" * 16),
    kind=st.just("backup"),
    vault=st.just(b"v" * 16),
    operator=st.just(b"o" * 16),
    detached=st.booleans(),
    stack=st.just(b"s" * 16),
    schedule=st.none(),
    slot_ms=st.none(),
    created_ms=st.just(NOW),
    sealed_spec=st.just(b"spec"),
    lease_until_ms=st.just(NOW),
    state=st.sampled_from(["waiting", "queued", "running"]),
    fence=st.integers(1, 50),
    attempts=st.integers(1, MAX_ATTEMPTS),
    claimed=st.booleans(),
    ticket_until_ms=st.integers(NOW - 10, NOW + 10),
    give_up_ms=st.integers(NOW - 10, NOW + 10),
)


@given(job=JOBS, busy=st.booleans())
def test_whatever_becomes_of_a_job_its_next_lease_ends_later_or_it_is_over(job: Job, busy: bool) -> None:
    after = lifecycle.lease_over(job, NOW, busy)
    assert after.over or after.lease_until_ms > NOW
    assert after.attempts <= MAX_ATTEMPTS
    assert after.fence >= job.fence
    assert after.state != "running" or after.lease_until_ms == NOW + DEFER_MS


@given(job=JOBS)
def test_a_fence_that_may_have_been_published_is_never_published_again(job: Job) -> None:
    claimed = lifecycle.claim(job, NOW)
    assert (claimed.fence == job.fence) == (not job.claimed)
    assert lifecycle.claim(claimed, NOW).fence == claimed.fence + 1
    assert claimed.lease_until_ms == NOW + CLAIM_MS


@given(job=JOBS, state=st.sampled_from(ENDED))
def test_an_ended_job_has_forgotten_what_it_was_about(job: Job, state: str) -> None:
    after = lifecycle.ended(job, state, NOW, code="x")
    assert after.over
    assert (after.sealed_spec, after.finished_ms) == (b"", NOW)


@given(job=JOBS)
def test_patience_grows_with_every_attempt(job: Job) -> None:
    assert lifecycle.patience_ms(job, busy=False) == PATIENCE_MS * 2 ** (job.attempts - 1)
    assert lifecycle.patience_ms(job, busy=True) >= lifecycle.patience_ms(job, busy=False)
