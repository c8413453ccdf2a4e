from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import canonical, signing
from crypto.certificate import (
    LIFETIME_MS,
    RENEW_MS,
    SKEW_MS,
    Certificate,
    ProcessKeys,
    ProcessSigned,
    verify_certificate,
    verify_process,
)
from crypto.errors import CryptoError, Expired, Malformed, Untrusted
from crypto.identity import Identity
from crypto.registry import BACKUP, OPERATOR, RESTORE, ROLES, Registry
from crypto.signing import Domain
from tests.crypto.world import CARRIERS, HOUR_MS, NOW, World, damaged, enrol


class Body(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    word: str


BODY = Body("hello")
HOST = Identity.generate("host")
REGISTRY = Registry(identities=(enrol(HOST, BACKUP),))
KEYS = ProcessKeys(HOST, BACKUP, NOW)
SIGNED = KEYS.sign(Domain.REPORT, BODY)


def certify(identity: Identity, keys: ProcessKeys, **changes: object) -> ProcessSigned:
    """A message of `keys` under a certificate that `identity` altered before signing it."""
    original = canonical.decode(Certificate, keys.certificate.body)
    certificate = identity.sign(Domain.CERTIFICATE, msgspec.structs.replace(original, **changes))
    return ProcessSigned(certificate, keys.sign(Domain.REPORT, BODY).message)


def verify(
    signed: ProcessSigned,
    registry: Registry = REGISTRY,
    roles: tuple[str, ...] = (BACKUP,),
    now_ms: int = NOW,
) -> tuple[Certificate, Body]:
    return verify_process(registry, roles, Domain.REPORT, signed, Body, now_ms)


def test_message_is_followed_to_its_identity() -> None:
    certificate, body = verify(SIGNED)
    assert (certificate.role, certificate.hpke_public, body) == (BACKUP, KEYS.opening.public, BODY)


@pytest.mark.parametrize("now_ms", [NOW - SKEW_MS, NOW, NOW + LIFETIME_MS])
def test_certificate_holds_for_its_hour(now_ms: int) -> None:
    verify(SIGNED, now_ms=now_ms)


@pytest.mark.parametrize("now_ms", [0, NOW - SKEW_MS - 1, NOW + LIFETIME_MS + 1, NOW + 24 * HOUR_MS])
def test_certificate_outside_its_time_is_expired(now_ms: int) -> None:
    with pytest.raises(Expired):
        verify(SIGNED, now_ms=now_ms)


@pytest.mark.parametrize(
    "times",
    [
        {"not_after_ms": NOW + LIFETIME_MS + 1},
        {"not_before_ms": 0},
        {"not_before_ms": -(2**63), "not_after_ms": 2**64 - 1},
        {"not_before_ms": NOW + 1, "not_after_ms": NOW},
    ],
)
def test_certificate_that_lives_too_long_is_refused(times: dict[str, int]) -> None:
    with pytest.raises(Expired):
        verify(certify(HOST, KEYS, **times))


@pytest.mark.parametrize("role", [role for role in ROLES if role != BACKUP])
def test_host_cannot_certify_a_role_that_it_is_not_enrolled_for(role: str) -> None:
    with pytest.raises(Untrusted):
        verify(ProcessKeys(HOST, role, NOW).sign(Domain.REPORT, BODY), roles=ROLES)


@pytest.mark.parametrize("role", [role for role in ROLES if role != BACKUP])
def test_role_that_is_not_asked_for_is_refused(role: str) -> None:
    with pytest.raises(Untrusted):
        verify(SIGNED, roles=(role,))


def test_role_that_is_asked_for_but_not_certified_is_not_lent_by_the_enrolment(world: World) -> None:
    both = Registry(identities=(enrol(HOST, BACKUP, OPERATOR),))
    with pytest.raises(Untrusted):
        verify(SIGNED, both, roles=(OPERATOR,))


def test_unknown_or_removed_identity_is_untrusted() -> None:
    with pytest.raises(Untrusted):
        verify(SIGNED, Registry())


def test_certificate_in_the_name_of_another_identity_is_untrusted(world: World) -> None:
    registry = world.registry.with_identity(enrol(HOST, BACKUP))
    forged = world.people[BACKUP].sign(
        Domain.CERTIFICATE, canonical.decode(Certificate, KEYS.certificate.body)
    )
    renamed = msgspec.structs.replace(forged, signer=HOST.id)
    with pytest.raises(Untrusted):
        verify(ProcessSigned(renamed, SIGNED.message), registry)


def test_certificate_of_another_process_does_not_cover_the_message() -> None:
    other = ProcessKeys(HOST, BACKUP, NOW)
    with pytest.raises(Untrusted):
        verify(ProcessSigned(other.certificate, SIGNED.message))


def test_another_identity_cannot_adopt_a_process(world: World) -> None:
    """An enrolled identity certifies somebody else's process key as its own: the message names its real signer."""
    thief = world.people[BACKUP]
    registry = world.registry.with_identity(enrol(HOST, BACKUP))
    adopted = certify(thief, KEYS)
    with pytest.raises(Untrusted):
        verify(adopted, registry)
    renamed = msgspec.structs.replace(adopted.message, signer=thief.id)
    with pytest.raises(Untrusted):
        verify(ProcessSigned(adopted.certificate, renamed), registry)


def test_identity_itself_does_not_pass_as_its_process() -> None:
    with pytest.raises(Untrusted):
        verify(ProcessSigned(KEYS.certificate, HOST.sign(Domain.REPORT, BODY)))


@pytest.mark.parametrize("domain", [domain for domain in Domain if domain != Domain.CERTIFICATE])
def test_certificate_signed_for_something_else_is_untrusted(domain: Domain) -> None:
    fake = HOST.sign(domain, canonical.decode(Certificate, KEYS.certificate.body))
    with pytest.raises(Untrusted):
        verify_certificate(REGISTRY, fake, ROLES, NOW)


@pytest.mark.parametrize("domain", [domain for domain in Domain if domain != Domain.REPORT])
def test_message_of_another_domain_is_untrusted(domain: Domain) -> None:
    with pytest.raises(Untrusted):
        verify(KEYS.sign(domain, BODY))


def test_certificate_with_a_key_for_everybody_is_untrusted() -> None:
    """The neutral point as a process key: anybody could sign under it, and the host deny it."""
    certified = certify(HOST, KEYS, sign_public=b"\1" + bytes(31))
    forged = signing.Signed(HOST.id, canonical.encode(BODY), b"\1" + bytes(63))
    with pytest.raises(Untrusted):
        verify(ProcessSigned(certified.certificate, forged))


@given(damaged(canonical.encode(SIGNED)) | st.binary(max_size=300))
def test_altered_message_is_refused(data: bytes) -> None:
    with pytest.raises(CryptoError):
        verify(canonical.decode(ProcessSigned, data))


def test_well_signed_nonsense_is_malformed() -> None:
    with pytest.raises(Malformed):
        verify(ProcessSigned(HOST.sign(Domain.CERTIFICATE, BODY), SIGNED.message))


@pytest.mark.parametrize(
    ("after_ms", "due"),
    [(0, False), (RENEW_MS, False), (RENEW_MS + 1, True), (-SKEW_MS, False), (-HOUR_MS, True)],
)
def test_keys_are_renewed_in_time_and_when_the_clock_was_set_back(after_ms: int, due: bool) -> None:
    assert KEYS.due(NOW + after_ms) is due


def test_every_process_has_its_own_keys() -> None:
    other = ProcessKeys(HOST, BACKUP, NOW)
    assert other.opening.public != KEYS.opening.public
    assert other.certificate.body != KEYS.certificate.body


@pytest.mark.parametrize("carry_off", CARRIERS)
def test_process_keys_are_not_carried_off(carry_off: Callable[[object], object]) -> None:
    with pytest.raises(TypeError):
        carry_off(KEYS)
    assert repr(KEYS) == f"<ProcessKeys of {HOST.id.hex()}>"


def test_restore_process_is_not_a_backup_process(world: World) -> None:
    with pytest.raises(Untrusted):
        verify(world.process(RESTORE).sign(Domain.REPORT, BODY), world.registry)
