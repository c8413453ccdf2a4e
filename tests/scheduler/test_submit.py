import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.queues import queue_of_task
from crypto import canonical, job
from crypto.certificate import SKEW_MS
from crypto.errors import SealBroken
from crypto.hpke import PUBLIC_BYTES
from crypto.identity import Identity
from crypto.job import MAX_SPEC, REQUEST_LIFETIME_MS, open_spec
from crypto.registry import BACKUP, Registry
from crypto.signing import Domain, Signed
from crypto.ticket import Ticket
from scheduler import submit
from scheduler.errors import Dropped
from scheduler.kinds import KINDS, SUBMITTABLE
from tests.scheduler.world import NOW, OTHER_VAULT, REPO, VAULT, World, enrol, text_of


def nothing_started(world: World) -> bool:
    return not world.publisher.wakes and not world.ledger.newest(1)


@pytest.mark.parametrize("kind", SUBMITTABLE)
def test_a_good_request_becomes_one_job_one_ticket_and_one_wake(world: World, kind: str) -> None:
    world.know_vault()
    job_id = world.submit(kind)

    (wake,) = world.publisher.wakes
    how = KINDS[kind]
    ticket = world.check_wake(wake)
    assert (wake.task, ticket.role, ticket.operations) == (how.task, how.role, how.operations)
    assert (ticket.job, ticket.vault, ticket.fence, ticket.max_unwraps) == (
        job_id,
        VAULT,
        1,
        how.max_unwraps,
    )
    assert queue_of_task(wake.task) in {"backup", "restore", "maintenance"}
    (verdict,) = world.verdicts(job_id)
    assert (verdict.state, verdict.attempts) == ("queued", 1)
    assert world.job(job_id).state == "queued"


def test_the_spec_opens_for_the_worker_and_for_nobody_else(world: World) -> None:
    job_id = world.submit()
    sealed = world.publisher.wakes[0].spec

    assert open_spec(world.people.workers[BACKUP], job_id, sealed) == world.spec()
    for other in (world.people.scheduler, world.people.operator, world.people.workers["restore"]):
        with pytest.raises(SealBroken):
            open_spec(other, job_id, sealed)


def test_neither_ledger_nor_messages_tell_what_the_job_is_about(world: World) -> None:
    world.submit()
    world.ledger.close()
    kept = b"".join(path.read_bytes() for path in world.folder.iterdir())
    assert b"secret-path" not in kept + world.publisher.wakes[0].spec
    assert b"backup" in kept  # the control: the files are read, and what is open is found


def test_the_job_is_in_the_ledger_before_anybody_hears_of_it(world: World) -> None:
    world.publisher.down = True
    job_id = world.submit()
    assert world.job(job_id).state == "waiting"
    assert not world.publisher.wakes


def test_a_request_that_comes_again_starts_nothing(world: World) -> None:
    text = world.sign(body := world.body())
    for at in (NOW, NOW + 1000, NOW + 10 * REQUEST_LIFETIME_MS):
        assert submit.submit(world.parts(), text, at).state == "queued"
    assert len(world.publisher.wakes) == 1
    assert {verdict.state for verdict in world.verdicts(body.job)} == {"queued"}


def test_another_operator_learns_nothing_of_a_job_and_cannot_touch_it(world: World) -> None:
    job_id = world.submit()
    letters = len(world.publisher.letters)
    for kind in (job.STATUS, job.CANCEL, job.BACKUP):
        text = world.sign(world.body(kind, job=job_id, vault=OTHER_VAULT), world.people.narrow)
        with pytest.raises(Dropped):
            submit.submit(world.parts(), text, NOW)
    assert len(world.publisher.letters) == letters
    assert world.job(job_id).state == "queued"


REFUSED = {
    "too old": ({"sent_ms": NOW - REQUEST_LIFETIME_MS - 1}, "expired"),
    "from the future": ({"sent_ms": NOW + SKEW_MS + 1}, "expired"),
    "far future": ({"sent_ms": 2**64 - 1}, "expired"),
    "before the epoch": ({"sent_ms": -(2**63)}, "expired"),
    "unknown vault": ({"vault": b"x" * 16}, "out-of-scope"),
    "repository of another vault": ({"vault": OTHER_VAULT}, "other-repository"),
    "no spec": ({"spec": b""}, "malformed"),
    "spec is noise": ({"spec": b"\x91\x90"}, "malformed"),
    "spec too large": ({"spec": bytes(MAX_SPEC + 1)}, "too-large"),
    "unknown version": ({"version": 2}, "unknown-request"),
    "unknown kind": ({"kind": "erase"}, "unknown-request"),
    "the scheduler's own kind": ({"kind": job.TIDY}, "unknown-request"),
    "spec of another kind": ({"about": job.CheckSpec(REPO, bytes(PUBLIC_BYTES), False)}, "malformed"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_trusted_but_wrong_request_is_refused_with_words(world: World, case: str) -> None:
    changes, code = REFUSED[case]
    body = world.body(**changes)  # type: ignore[arg-type]
    verdict = submit.submit(world.parts(), world.sign(body), NOW)
    assert (verdict.state, verdict.code) == ("failed", code)
    assert verdict.message
    assert verdict.remedy
    assert world.verdicts(body.job) == [verdict]
    assert nothing_started(world)


def test_a_spec_that_was_sealed_for_another_job_is_refused(world: World) -> None:
    stolen = world.body().spec
    assert submit.submit(world.parts(), world.sign(world.body(spec=stolen)), NOW).code == "malformed"
    assert nothing_started(world)


def test_a_spec_without_a_key_to_answer_to_is_refused(world: World) -> None:
    for kind, spec in (
        (job.CHECK, job.CheckSpec(REPO, b"short", False)),
        (job.ASK, job.AskSpec("", b"", "jobs")),
    ):
        assert submit.submit(world.parts(), world.sign(world.body(kind, about=spec)), NOW).code == "malformed"
    assert nothing_started(world)


def test_without_an_enrolled_worker_the_request_is_refused_at_once(world: World) -> None:
    kept = [each for each in world.registry.identities if BACKUP not in each.roles]
    world.registry = Registry(
        tenant=world.registry.tenant, identities=tuple(kept), vaults=world.registry.vaults
    )
    assert submit.submit(world.parts(), world.sign(world.body()), NOW).code == "no-worker"
    assert nothing_started(world)


def test_an_operator_of_another_vault_is_refused(world: World) -> None:
    verdict = submit.submit(world.parts(), world.sign(world.body(), world.people.narrow), NOW)
    assert verdict.code == "out-of-scope"
    assert nothing_started(world)


@pytest.mark.parametrize("who", ["stranger", "worker", "impostor"])
def test_a_request_of_nobody_trusted_is_dropped_without_a_word(world: World, who: str) -> None:
    signer = {
        "stranger": world.people.stranger,
        "worker": world.people.workers[BACKUP],
        "impostor": Identity.generate("impostor"),
    }[who]
    if who == "impostor":  # an enrolled id over a foreign signature
        signer.id = world.people.operator.id
    with pytest.raises(Dropped):
        submit.submit(world.parts(), world.sign(world.body(), signer), NOW)
    assert nothing_started(world)
    assert not world.publisher.letters


def test_an_operator_that_was_struck_off_is_dropped(world: World) -> None:
    text = world.sign(world.body())
    world.registry = world.registry.with_identity(enrol(world.people.operator))
    with pytest.raises(Dropped):
        submit.submit(world.parts(), text, NOW)


def test_a_signature_of_another_domain_is_no_request(world: World) -> None:
    signed = world.people.operator.sign(Domain.KEY_REQUEST, world.body())
    with pytest.raises(Dropped):
        submit.submit(world.parts(), text_of(signed), NOW)


@pytest.mark.parametrize("field", ["job", "vault"])
def test_ids_of_another_length_are_dropped(world: World, field: str) -> None:
    with pytest.raises(Dropped):
        submit.submit(world.parts(), world.sign(world.body(**{field: b"short"})), NOW)  # type: ignore[arg-type]


def test_every_altered_byte_of_a_request_is_noticed(world: World) -> None:
    good = canonical.from_text(world.sign(world.body()))
    for position in range(0, len(good), 7):
        bad = bytearray(good)
        bad[position] ^= 1
        with pytest.raises(Dropped):
            submit.submit(world.parts(), canonical.to_text(bytes(bad)), NOW)
    assert nothing_started(world)
    assert submit.submit(world.parts(), canonical.to_text(good), NOW).state == "queued"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=400), st.text(max_size=200), st.integers(), st.none()))
def test_noise_is_dropped(world: World, noise: object) -> None:
    for argument in (noise, canonical.to_text(noise) if isinstance(noise, bytes) else noise):
        with pytest.raises(Dropped):
            submit.submit(world.parts(), argument, NOW)
    assert nothing_started(world)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=300), spec=st.binary(max_size=300), sent=st.integers(-(2**63), 2**64 - 1))
def test_noise_under_a_good_signature_starts_nothing(
    world: World, body: bytes, spec: bytes, sent: int
) -> None:
    operator = world.people.operator
    noise = operator.sign(Domain.JOB_REQUEST, Signed(b"", body, b""))
    with pytest.raises(Dropped):
        submit.submit(world.parts(), text_of(noise), NOW)
    request = world.body(spec=spec, sent_ms=sent, job=os.urandom(16))
    assert submit.submit(world.parts(), world.sign(request), NOW).state == "failed"
    assert nothing_started(world)


def test_status_tells_how_a_job_stands_however_old_the_request(world: World) -> None:
    job_id = world.submit()
    text = world.sign(world.body(job.STATUS, job=job_id, sent_ms=NOW - 10 * REQUEST_LIFETIME_MS))
    assert submit.submit(world.parts(), text, NOW).state == "queued"


@pytest.mark.parametrize("kind", [job.STATUS, job.CANCEL])
def test_a_job_that_is_not_known_is_called_unknown(world: World, kind: str) -> None:
    verdict = submit.submit(world.parts(), world.sign(world.body(kind)), NOW)
    assert verdict.state == "unknown"


def test_cancel_ends_a_job_and_makes_its_workers_stale(world: World) -> None:
    job_id = world.submit()
    verdict = submit.submit(world.parts(), world.sign(world.body(job.CANCEL, job=job_id)), NOW)
    assert verdict.state == "cancelled"
    assert world.job(job_id).fence == 2
    world.scheduler().report(world.report(job_id, "done"), NOW)
    assert world.job(job_id).state == "cancelled"


def test_an_old_cancel_cancels_nothing(world: World) -> None:
    job_id = world.submit()
    text = world.sign(world.body(job.CANCEL, job=job_id))
    assert submit.submit(world.parts(), text, NOW + REQUEST_LIFETIME_MS + 1).state == "queued"


def test_a_ticket_is_bound_to_its_spec(world: World) -> None:
    world.submit()
    world.submit()
    first, second = world.publisher.wakes
    body = canonical.decode(Ticket, first.signed.body)
    assert body.spec == job.digest(first.spec) != job.digest(second.spec)
