import hashlib
import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import canonical, hpke
from crypto.errors import CryptoError, KeyRefused, KeyWiped, Malformed, SealBroken, Untrusted
from crypto.hpke import HpkeKey
from crypto.identity import Identity
from crypto.keyrecord import CHUNK_ID, DEK
from crypto.keyrequest import Given, KeyReply, Refusal, open_reply, request_digest, seal_key
from crypto.registry import BACKUP, KEY_BROKER, ROLES, Registry
from crypto.secret import SecretKey
from crypto.signing import Domain, Signed
from tests.crypto.world import World, damaged, enrol

BROKER = Identity.generate("key-broker")
REGISTRY = Registry(identities=(enrol(BROKER, KEY_BROKER),))
PROCESS = HpkeKey.generate()
REQUEST = hashlib.sha256(b"request").digest()
KEY = SecretKey.generate()


def give(purpose: str = DEK, epoch: int = 3, request: bytes = REQUEST, to: HpkeKey = PROCESS) -> Given:
    return Given(purpose, epoch, seal_key(KEY, to.public, request, BROKER.id, purpose, epoch), b"")


def reply(*given: Given, request: bytes = REQUEST, refusal: Refusal | None = None) -> Signed:
    return BROKER.sign(Domain.KEY_REPLY, KeyReply(request, given, refusal, 1))


GOOD = reply(give())


def test_key_arrives_at_the_process_that_asked() -> None:
    body, keys = open_reply(REGISTRY, reply(give(), give(CHUNK_ID, 0)), REQUEST, PROCESS)
    assert [(each.purpose, each.epoch) for each in body.given] == [(DEK, 3), (CHUNK_ID, 0)]
    assert all(key.same_as(KEY) for key in keys)


def test_reply_shows_no_key() -> None:
    assert bytes(KEY.view()) not in canonical.encode(GOOD)


@pytest.mark.parametrize("asked", [b"", bytes(32), hashlib.sha256(b"earlier request").digest()])
def test_answer_to_another_request_is_untrusted(asked: bytes) -> None:
    with pytest.raises(Untrusted):
        open_reply(REGISTRY, GOOD, asked, PROCESS)


def test_key_sealed_for_another_request_does_not_open() -> None:
    """An old sealed key in a fresh answer."""
    with pytest.raises(SealBroken):
        open_reply(REGISTRY, reply(give(request=bytes(32))), REQUEST, PROCESS)


@pytest.mark.parametrize(
    "change", [{"epoch": 2}, {"epoch": 4}, {"purpose": CHUNK_ID}, {"purpose": CHUNK_ID, "epoch": 0}]
)
def test_key_of_one_epoch_or_purpose_does_not_open_as_another(change: dict[str, int | str]) -> None:
    with pytest.raises(SealBroken):
        open_reply(REGISTRY, reply(msgspec.structs.replace(give(), **change)), REQUEST, PROCESS)


def test_key_sealed_to_another_process_does_not_open() -> None:
    with pytest.raises(SealBroken):
        open_reply(REGISTRY, GOOD, REQUEST, HpkeKey.generate())


@pytest.mark.parametrize("role", [role for role in ROLES if role != KEY_BROKER])
def test_only_a_key_broker_gives_keys(world: World, role: str) -> None:
    impostor = world.people[role].sign(Domain.KEY_REPLY, KeyReply(REQUEST, (give(),), None, 1))
    with pytest.raises(Untrusted):
        open_reply(world.registry, impostor, REQUEST, PROCESS)
    in_its_name = msgspec.structs.replace(impostor, signer=world.people[KEY_BROKER].id)
    with pytest.raises(Untrusted):
        open_reply(world.registry, in_its_name, REQUEST, PROCESS)


def test_second_broker_cannot_sign_the_first_ones_keys(world: World) -> None:
    """Keys are bound to the broker that sealed them, not only signed by it."""
    other = world.people[KEY_BROKER]
    stolen = other.sign(Domain.KEY_REPLY, KeyReply(REQUEST, (give(),), None, 1))
    with pytest.raises(SealBroken):
        open_reply(world.registry, stolen, REQUEST, PROCESS)


@pytest.mark.parametrize("domain", [domain for domain in Domain if domain != Domain.KEY_REPLY])
def test_what_the_broker_signs_for_another_end_is_no_answer(domain: Domain) -> None:
    with pytest.raises(Untrusted):
        open_reply(REGISTRY, BROKER.sign(domain, KeyReply(REQUEST, (give(),), None, 1)), REQUEST, PROCESS)


def test_refusal_gives_no_key_even_beside_one() -> None:
    refusal = Refusal("kms-key-disabled", "the key is disabled", "enable it", retryable=False)
    with pytest.raises(KeyRefused) as caught:
        open_reply(REGISTRY, reply(give(), refusal=refusal), REQUEST, PROCESS)
    assert (caught.value.code, caught.value.retryable) == ("kms-key-disabled", False)
    assert (caught.value.message, caught.value.remedy) == ("the key is disabled", "enable it")


@given(damaged(canonical.encode(GOOD)) | st.binary(max_size=200))
def test_altered_answer_is_refused(data: bytes) -> None:
    with pytest.raises(CryptoError):
        open_reply(REGISTRY, canonical.decode(Signed, data), REQUEST, PROCESS)


@pytest.mark.parametrize("plain", [b"", bytes(16), bytes(31), bytes(33)])
def test_what_is_no_key_is_malformed(plain: bytes) -> None:
    bound = hpke.info(Domain.KEY_REPLY, REQUEST, BROKER.id, DEK.encode(), (3).to_bytes(4, "big"))
    given = Given(DEK, 3, hpke.seal_to(PROCESS.public, bound, plain), b"")
    with pytest.raises(Malformed):
        open_reply(REGISTRY, reply(give(), given), REQUEST, PROCESS)


@pytest.mark.parametrize("epoch", [-1, 2**32, 2**63])
def test_impossible_epoch_is_malformed(epoch: int) -> None:
    with pytest.raises(Malformed):
        give(epoch=epoch)
    with pytest.raises(Malformed):
        open_reply(REGISTRY, reply(Given(DEK, epoch, b"", b"")), REQUEST, PROCESS)


def test_wiped_key_is_not_given() -> None:
    key = SecretKey.generate()
    key.wipe()
    with pytest.raises(KeyWiped):
        seal_key(key, PROCESS.public, REQUEST, BROKER.id, DEK, 3)


def test_digest_tells_requests_apart(world: World) -> None:
    """Also two signings of one body by two processes: each gets its own answer."""
    refusal = Refusal("malformed", "", "", retryable=False)
    one, two = (world.process(BACKUP).sign(Domain.KEY_REQUEST, refusal) for _ in range(2))
    assert request_digest(one) == request_digest(one)
    assert request_digest(one) != request_digest(two)
    assert len(request_digest(one)) == len(os.urandom(32))
