"""Any bytes at all: the broker answers or is silent, calls no KMS, and goes on."""

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import canonical
from crypto.certificate import ProcessSigned
from crypto.keyrequest import REQUEST_VERSION, KeyRequest, Want
from crypto.registry import BACKUP
from crypto.signing import Domain, Signed
from tests.workers.key_broker.world import World
from workers.key_broker.state import BrokerState

EXAMPLES = settings(max_examples=150, deadline=None)
TEXT = st.text(alphabet=string.printable, max_size=40) | st.text(max_size=40)
NUMBERS = st.integers(-(2**63), 2**64 - 1)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, make_world: Callable[[Path], World]) -> World:
    """One installation for all examples, which does not wait for the disk: what is tried here is decoding."""
    world = make_world(tmp_path_factory.mktemp("fuzz"))
    world.state._db.execute("PRAGMA synchronous=OFF")
    return world


def _sent(world: World, envelope: bytes) -> None:
    calls = world.calls
    answer = world.service.answer(envelope, world.now)
    assert world.calls == calls
    if answer is not None:
        assert answer.reply_list.startswith("reply:")
        canonical.decode(Signed, answer.reply)


@EXAMPLES
@given(envelope=st.binary(max_size=600))
def test_any_bytes(shared: World, envelope: bytes) -> None:
    _sent(shared, envelope)


@EXAMPLES
@given(data=st.data())
def test_any_altered_byte_of_a_good_request(shared: World, data: st.DataObject) -> None:
    good = canonical.encode(shared.request())
    place = data.draw(st.integers(0, len(good) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda value: value != good[place]))
    _sent(shared, good[:place] + bytes([value]) + good[place + 1 :])


@EXAMPLES
@given(data=st.data())
def test_any_part_of_a_good_request(shared: World, data: st.DataObject) -> None:
    good = canonical.encode(shared.request())
    cut = data.draw(st.integers(1, len(good) - 1))
    _sent(shared, good[:cut])
    _sent(shared, good + good[:cut])


SIGNED = st.builds(Signed, st.binary(max_size=20), st.binary(max_size=80), st.binary(max_size=80))


@EXAMPLES
@given(certificate=SIGNED, message=SIGNED)
def test_any_envelope_of_the_right_shape(shared: World, certificate: Signed, message: Signed) -> None:
    _sent(shared, canonical.encode(ProcessSigned(certificate, message)))


@EXAMPLES
@given(
    version=st.just(REQUEST_VERSION) | NUMBERS,
    ticket=SIGNED,
    wants=st.lists(st.builds(Want, TEXT, TEXT, NUMBERS, st.binary(max_size=50)), max_size=5).map(tuple),
    nonce=st.binary(min_size=16, max_size=16) | st.binary(max_size=40),
    sent_ms=NUMBERS,
    reply_to=TEXT,
)
def test_anything_signed_by_a_real_worker(shared: World, **fields: Any) -> None:
    _sent(shared, canonical.encode(shared.keys[BACKUP].sign(Domain.KEY_REQUEST, KeyRequest(**fields))))


@EXAMPLES
@given(
    wants=st.lists(
        st.builds(
            Want,
            st.sampled_from(("decrypt", "encrypt", "export", "")),
            st.sampled_from(("dek", "chunk-id")) | TEXT,
            st.integers(-1, 3) | NUMBERS,
            st.binary(max_size=120),
        ),
        min_size=1,
        max_size=3,
    ).map(tuple),
    changes=st.dictionaries(
        st.sampled_from(("fence", "max_unwraps", "not_before_ms", "expires_ms", "version")),
        NUMBERS,
        max_size=2,
    ),
)
def test_anything_under_a_real_ticket(
    shared: World, wants: tuple[Want, ...], changes: dict[str, int]
) -> None:
    ticket = shared.ticket(None, **changes)
    _sent(shared, canonical.encode(shared.request(*wants, ticket=ticket)))


def test_after_all_that_the_broker_still_works_and_its_audit_log_holds(shared: World) -> None:
    shared.granted(shared.request())
    BrokerState(shared.home.broker_db).verify_audit()
