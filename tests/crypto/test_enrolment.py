import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import canonical, enrolment
from crypto.errors import Malformed, Untrusted
from crypto.identity import Identity
from crypto.registry import BACKUP, Registry
from crypto.signing import Domain, Signed
from tests.crypto.world import damaged

IDENTITY = Identity.generate("web1")
OTHER = Identity.generate("other")
TEXT = enrolment.to_text(IDENTITY, BACKUP)
PUBLIC = enrolment.public_of(IDENTITY, BACKUP)


def text_of(signed: Signed) -> str:
    body = base64.b64encode(canonical.encode(signed)).decode()
    return f"{enrolment._BEGIN}\n{body}\n{enrolment._END}\n"


def test_the_public_part_survives_its_text_and_becomes_an_entry() -> None:
    assert enrolment.from_text(TEXT) == PUBLIC
    entry = PUBLIC.enrolled((b"v" * 16,), "web1")
    assert (entry.id, entry.roles, entry.host) == (IDENTITY.id, (BACKUP,), "web1")
    assert Registry.decode(Registry(identities=(entry,)).encode()).identity(IDENTITY.id) == entry


def test_the_text_holds_nothing_of_the_private_part() -> None:
    data = base64.b64decode("".join(TEXT.splitlines()[1:-1]))
    assert IDENTITY.opening.seed() not in data
    assert IDENTITY._signing.private_bytes_raw() not in data
    assert IDENTITY.sign_public in data  # the control
    assert len(TEXT) < 4096
    assert max(map(len, TEXT.splitlines())) <= 76


def test_two_identities_have_two_fingerprints_and_so_have_two_roles_of_one() -> None:
    prints = {
        public.fingerprint()
        for public in (PUBLIC, enrolment.public_of(OTHER, BACKUP), enrolment.public_of(IDENTITY, "restore"))
    }
    assert len(prints) == 3
    assert all(len(each.replace(" ", "")) == 32 for each in prints)


@given(damaged(TEXT.encode()) | st.binary(max_size=400))
def test_a_damaged_text_is_refused_or_the_same(data: bytes) -> None:
    try:
        found = enrolment.from_text(data.decode("ascii", "replace"))
    except (Malformed, Untrusted):
        return
    assert found == PUBLIC  # base64 has bits that mean nothing, and blanks around


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"name": "Someone Else"}, None),
        ({"role": "root"}, Malformed),
        ({"role": "operator"}, None),
        ({"id": OTHER.id}, Malformed),
        ({"version": 2}, Malformed),
        ({"hpke_public": b"short"}, Malformed),
        ({"name": ""}, Malformed),
        ({"name": "two\nlines"}, Malformed),
        ({"sign_public": OTHER.sign_public}, Untrusted),
    ],
)
def test_what_an_identity_says_of_itself_has_its_form_and_its_signature(
    change: dict[str, object], error: type[Exception] | None
) -> None:
    changed = msgspec.structs.replace(PUBLIC, **change)
    signed = IDENTITY.sign(Domain.ENROLMENT, changed)
    if error is None:
        assert enrolment.from_text(text_of(signed)) == changed
    else:
        with pytest.raises(error):
            enrolment.from_text(text_of(signed))
    forged = msgspec.structs.replace(signed, body=canonical.encode(PUBLIC))
    if change != {}:
        with pytest.raises(Untrusted):
            enrolment.from_text(text_of(forged))


def test_a_signature_of_another_domain_enrols_nobody() -> None:
    with pytest.raises(Untrusted):
        enrolment.from_text(text_of(IDENTITY.sign(Domain.NOTE, PUBLIC)))
