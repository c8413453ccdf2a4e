import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import canonical, ticket
from crypto.certificate import SKEW_MS
from crypto.errors import CryptoError, Expired, Malformed, OutOfScope, Untrusted
from crypto.identity import Identity
from crypto.notes import Verdict
from crypto.registry import BACKUP, MAINTENANCE, RESTORE, ROLES, SCHEDULER, Registry, VaultEntry
from crypto.signing import Domain, Signed
from crypto.ticket import DECRYPT, MAX_LIFETIME_MS, OPERATIONS, Ticket
from tests.crypto.world import HOUR_MS, NOW, World, damaged, enrol

SPEC = b"a sealed spec"
TICKET = Ticket(
    version=1,
    jti=b"j" * 16,
    job=b"o" * 16,
    fence=1,
    tenant=b"t" * 16,
    vault=b"v" * 16,
    role=RESTORE,
    operations=(DECRYPT,),
    spec=hashlib.sha256(SPEC).digest(),
    not_before_ms=NOW,
    expires_ms=NOW + HOUR_MS,
    max_unwraps=3,
)
ISSUER = Identity.generate("scheduler")
REGISTRY = Registry(
    identities=(enrol(ISSUER, SCHEDULER),),
    vaults=(
        VaultEntry(b"v" * 16, b"t" * 16, "photos", "file:///one", "local-kms://one"),
        VaultEntry(b"V" * 16, b"T" * 16, "letters", "file:///two", "local-kms://two"),
    ),
)


def verify(signed: Signed, now_ms: int = NOW) -> Ticket:
    return ticket.verify(REGISTRY, signed, now_ms)


def issue(**changes: object) -> Signed:
    return ticket.issue(ISSUER, msgspec.structs.replace(TICKET, **changes))


def test_ticket_holds_from_its_beginning_to_its_end() -> None:
    for now_ms in (NOW - SKEW_MS, NOW, NOW + HOUR_MS - 1):
        assert verify(issue(), now_ms) == TICKET


@pytest.mark.parametrize("now_ms", [0, NOW - SKEW_MS - 1, NOW + HOUR_MS, NOW + 100 * HOUR_MS])
def test_ticket_outside_its_time_is_expired(now_ms: int) -> None:
    with pytest.raises(Expired):
        verify(issue(), now_ms)


@pytest.mark.parametrize(
    "times",
    [
        {"expires_ms": NOW + MAX_LIFETIME_MS + 1},
        {"not_before_ms": 0},
        {"not_before_ms": -(2**63), "expires_ms": 2**64 - 1},
    ],
)
def test_ticket_that_lives_too_long_is_refused(times: dict[str, int]) -> None:
    with pytest.raises(Expired):
        verify(issue(**times))


@pytest.mark.parametrize("version", [0, 2, -1])
def test_ticket_of_another_version_is_refused(version: int) -> None:
    with pytest.raises(Untrusted):
        verify(issue(version=version))


@pytest.mark.parametrize("role", [role for role in ROLES if role != SCHEDULER])
def test_only_a_scheduler_issues_tickets(world: World, role: str) -> None:
    signed = ticket.issue(
        world.people[role], msgspec.structs.replace(TICKET, tenant=world.tenant, vault=world.vault)
    )
    with pytest.raises(Untrusted):
        ticket.verify(world.registry, signed, NOW)


def test_stranger_cannot_sign_in_the_schedulers_name(world: World) -> None:
    for signer in (world.stranger.id, ISSUER.id):
        forged = msgspec.structs.replace(ticket.issue(world.stranger, TICKET), signer=signer)
        with pytest.raises(Untrusted):
            verify(forged)


@pytest.mark.parametrize(
    "change",
    [
        {"tenant": b"T" * 16},
        {"vault": b"V" * 16},
        {"vault": b"x" * 16},
        {"vault": b""},
        {"tenant": b""},
    ],
)
def test_ticket_for_a_vault_of_another_tenant_is_out_of_scope(change: dict[str, bytes]) -> None:
    with pytest.raises(OutOfScope):
        verify(issue(**change))


def test_scheduler_issues_tickets_for_its_own_vaults_only() -> None:
    limited = REGISTRY.with_identity(enrol(ISSUER, SCHEDULER, vaults=(b"V" * 16,)))
    with pytest.raises(OutOfScope):
        ticket.verify(limited, issue(), NOW)


def test_ticket_goes_with_its_own_spec_only() -> None:
    ticket.require(TICKET, RESTORE, SPEC)
    for other in (b"", SPEC[:-1], SPEC + b"\0", b"a spec of my own, with my own key as the receiver"):
        with pytest.raises(OutOfScope, match="spec"):
            ticket.require(TICKET, RESTORE, other)


@pytest.mark.parametrize("role", [BACKUP, MAINTENANCE, SCHEDULER, "", "restore "])
def test_ticket_is_for_one_role(role: str) -> None:
    with pytest.raises(OutOfScope, match="role"):
        ticket.require(TICKET, role, SPEC)


@given(damaged(canonical.encode(issue())) | st.binary(max_size=200))
def test_altered_ticket_is_refused(data: bytes) -> None:
    with pytest.raises(CryptoError):
        verify(canonical.decode(Signed, data))


@pytest.mark.parametrize("domain", [domain for domain in Domain if domain != Domain.TICKET])
def test_what_the_scheduler_signs_for_another_end_is_no_ticket(domain: Domain) -> None:
    with pytest.raises(Untrusted):
        verify(ISSUER.sign(domain, TICKET))


def test_an_operation_that_a_ticket_does_not_name_is_refused() -> None:
    ticket.require_operation(TICKET, DECRYPT)
    for operation in set(OPERATIONS) - {DECRYPT}:
        with pytest.raises(OutOfScope, match=operation):
            ticket.require_operation(TICKET, operation)


def test_something_else_signed_as_a_ticket_is_malformed() -> None:
    verdict = Verdict(b"o" * 16, "done", "", "", "", 0, 1, b"")
    with pytest.raises(Malformed):
        verify(ISSUER.sign(Domain.TICKET, verdict))


@pytest.mark.parametrize("field", Ticket.__struct_fields__)
def test_every_field_is_signed(field: str) -> None:
    signed = issue()
    value = getattr(TICKET, field)
    other = value + 1 if isinstance(value, int) else value[:-1]
    body = canonical.encode(msgspec.structs.replace(TICKET, **{field: other}))
    with pytest.raises(Untrusted):
        verify(msgspec.structs.replace(signed, body=body))


def test_only_a_scheduler_ends_a_job(world: World) -> None:
    job = b"o" * 16
    assert ticket.verify_end(world.registry, ticket.end(world.people[SCHEDULER], job)) == job
    for role in set(ROLES) - {SCHEDULER}:
        with pytest.raises(Untrusted):
            ticket.verify_end(world.registry, ticket.end(world.people[role], job))
    with pytest.raises(Untrusted):
        ticket.verify_end(world.registry, ticket.end(Identity.generate("scheduler"), job))
    with pytest.raises(Malformed):
        ticket.verify_end(world.registry, ticket.end(world.people[SCHEDULER], job[:-1]))
    with pytest.raises(Untrusted):
        ticket.verify_end(
            world.registry, world.people[SCHEDULER].sign(Domain.JOB_OVER, ticket.JobOver(2, job))
        )


def test_a_scheduler_of_another_vault_ends_no_job_whose_vault_is_known(world: World) -> None:
    job, narrow = b"o" * 16, Identity.generate("narrow")
    registry = world.registry.with_identity(enrol(narrow, SCHEDULER, vaults=(world.other_vault,)))
    assert ticket.verify_end(registry, ticket.end(narrow, job), world.other_vault) == job
    with pytest.raises(OutOfScope):
        ticket.verify_end(registry, ticket.end(narrow, job), world.vault)
    assert ticket.verify_end(registry, ticket.end(world.people[SCHEDULER], job), world.vault) == job


@pytest.mark.parametrize("domain", [domain for domain in Domain if domain != Domain.JOB_OVER])
def test_what_the_scheduler_signs_for_another_end_ends_no_job(world: World, domain: Domain) -> None:
    with pytest.raises(Untrusted):
        ticket.verify_end(world.registry, world.people[SCHEDULER].sign(domain, ticket.JobOver(1, b"o" * 16)))
