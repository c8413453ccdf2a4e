import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from crypto.kms.errors import KeyDisabled, KmsError, KmsUnavailable, Throttled, UnsupportedKms
from crypto.kms.keystore import Keystore
from crypto.kms.local import LocalKms
from crypto.kms.provider import (
    DataKey,
    EncryptionContext,
    KeyDescription,
    KeyState,
    KmsProvider,
    Note,
    WrappedKey,
    no_note,
)
from crypto.kms.uri import Backends, open_provider
from crypto.secret import SecretKey
from workers.key_broker.breaker import FAILURES, CircuitOpen
from workers.key_broker.gateway import MAX_REQUEST_IDS, GatewayParts, KmsGateway, RateLimited
from workers.key_broker.limits import CallLimits, Rate
from workers.key_broker.retry import Retry

CONTEXT = {"service": "strongroom", "vault": "22" * 16}
URI = "local-kms://main"
UNLIMITED = Rate(1e6, 10**6)


class FailingKms:
    """A real local KMS that first fails as its list says, and can be held while it answers."""

    def __init__(self, inner: KmsProvider, *failures: KmsError) -> None:
        self.inner = inner
        self.failures = list(failures)
        self.calls = 0
        self.entered = threading.Event()
        self.hold: threading.Event | None = None

    def _enter(self) -> None:
        self.calls += 1
        self.entered.set()
        if self.hold is not None:
            assert self.hold.wait(60)
        if self.failures:
            raise self.failures.pop(0)

    def generate(self, context: EncryptionContext, note: Note = no_note) -> DataKey:
        self._enter()
        note(f"request-{self.calls}")
        return self.inner.generate(context)

    def decrypt(self, wrapped: WrappedKey, context: EncryptionContext, note: Note = no_note) -> SecretKey:
        self._enter()
        return self.inner.decrypt(wrapped, context)

    def reencrypt(
        self,
        wrapped: WrappedKey,
        source: EncryptionContext,
        target: EncryptionContext,
        note: Note = no_note,
    ) -> WrappedKey:
        self._enter()
        return self.inner.reencrypt(wrapped, source, target)

    def describe(self, note: Note = no_note) -> KeyDescription:
        self._enter()
        return self.inner.describe()

    def create_missing(self, note: Note = no_note) -> None:
        self._enter()
        self.inner.create_missing()


@pytest.fixture
def kms(tmp_path: Path) -> FailingKms:
    keystore = Keystore(tmp_path / "kms")
    keystore.initialise()
    keystore.create("main")
    return FailingKms(LocalKms(keystore, "main"))


def gateway(kms: KmsProvider, rate: Rate = UNLIMITED, deadline_s: float = 5.0) -> KmsGateway:
    limits = CallLimits(rate, rate)
    return KmsGateway(GatewayParts(lambda _, __: kms, limits, deadline_s, Retry(jitter=lambda _: 0.001)))


def test_each_operation_is_one_counted_call(kms: FailingKms) -> None:
    gate = gateway(kms)
    visit = gate.begin(b"t")
    made = gate.generate(visit, URI, CONTEXT)
    assert gate.decrypt(visit, URI, made.wrapped, CONTEXT).same_as(made.plaintext)
    moved = gate.reencrypt(visit, URI, made.wrapped, CONTEXT, CONTEXT | {"epoch": "2"})
    assert moved.blob != made.wrapped.blob
    assert gate.describe(visit, URI).state is KeyState.ENABLED
    gate.create_missing(visit, URI)
    assert (kms.calls, visit.calls, gate.counters.calls) == (5, 5, 5)


def test_retries_are_calls_and_are_counted(kms: FailingKms) -> None:
    gate = gateway(kms)
    kms.failures = [Throttled("x"), KmsUnavailable("x")]
    visit = gate.begin(b"t")
    gate.generate(visit, URI, CONTEXT)
    counters = gate.counters
    assert (visit.calls, counters.calls, counters.retries, counters.throttled, counters.failed) == (
        3,
        3,
        2,
        1,
        2,
    )


def test_final_error_is_one_call(kms: FailingKms) -> None:
    gate = gateway(kms)
    kms.failures = [KeyDisabled("off")]
    with pytest.raises(KeyDisabled):
        gate.generate(gate.begin(b"t"), URI, CONTEXT)
    assert gate.counters.calls == 1


def test_call_that_the_limits_hold_back_never_reaches_the_kms(kms: FailingKms) -> None:
    gate = gateway(kms, Rate(0.001, 2), deadline_s=0.05)
    for _ in range(2):
        gate.generate(gate.begin(b"t"), URI, CONTEXT)
    with pytest.raises(RateLimited) as refused:
        gate.generate(gate.begin(b"t"), URI, CONTEXT)
    assert (refused.value.code, refused.value.retryable) == ("rate-limited", True)
    assert kms.calls == 2
    assert gate.counters.rate_limited >= 1


def test_equal_unwraps_at_once_share_one_call_and_each_may_wipe_its_key(kms: FailingKms) -> None:
    gate = gateway(kms)
    made = gate.generate(gate.begin(b"t"), URI, CONTEXT)
    kms.calls, kms.hold = 0, threading.Event()
    kms.entered.clear()
    visits = [gate.begin(b"t") for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        futures = [pool.submit(gate.decrypt, visit, URI, made.wrapped, CONTEXT) for visit in visits]
        assert kms.entered.wait(60)
        while sum(flight.passengers for flight in gate._flights._flights.values()) < 5:
            time.sleep(0.001)
        kms.hold.set()
    keys = [future.result() for future in futures]
    keys[0].wipe()
    assert all(key.same_as(made.plaintext) for key in keys[1:])
    assert (kms.calls, gate.counters.shared, sum(visit.calls for visit in visits)) == (1, 5, 1)


@pytest.mark.parametrize("what", ["tenant", "context", "blob"])
def test_unequal_unwraps_are_not_shared(kms: FailingKms, what: str) -> None:
    """A tenant or context that differs must never ride on another's answer, not even a refusal."""
    gate = gateway(kms)
    made = gate.generate(gate.begin(b"t"), URI, CONTEXT)
    kms.calls, kms.hold = 0, threading.Event()
    tenant = b"u" if what == "tenant" else b"t"
    context = CONTEXT | {"vault": "33"} if what == "context" else CONTEXT
    wrapped = WrappedKey(b"x", made.wrapped.key_id, "") if what == "blob" else made.wrapped
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(gate.decrypt, gate.begin(b"t"), URI, made.wrapped, CONTEXT)
        second = pool.submit(gate.decrypt, gate.begin(tenant), URI, wrapped, context)
        while kms.calls < 2:
            time.sleep(0.001)
        kms.hold.set()
    first.result()
    assert (second.exception() is None) == (what == "tenant")


def test_ids_of_the_kms_are_kept_up_to_a_limit(kms: FailingKms) -> None:
    gate = gateway(kms)
    visit = gate.begin(b"t")
    gate.generate(visit, URI, CONTEXT)
    assert visit.kms_requests == ["request-1"]
    for number in range(2 * MAX_REQUEST_IDS):
        visit.note(str(number))
    assert len(visit.kms_requests) == MAX_REQUEST_IDS


def test_each_tenant_has_a_provider_of_its_own(kms: FailingKms) -> None:
    """What a provider holds open with a KMS is one tenant's session."""
    opened: list[tuple[str, bytes]] = []

    def open_one(uri: str, tenant: bytes) -> KmsProvider:
        opened.append((uri, tenant))
        return kms

    gate = KmsGateway(GatewayParts(open_one, CallLimits(UNLIMITED, UNLIMITED), 5.0))
    for tenant in (b"t", b"u", b"t"):
        gate.generate(gate.begin(tenant), URI, CONTEXT)
    assert opened == [(URI, b"t"), (URI, b"u")]


def test_two_new_keys_at_once_are_two_keys(kms: FailingKms) -> None:
    gate = gateway(kms)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: gate.generate(gate.begin(b"t"), URI, CONTEXT), range(8)))
    assert len({bytes(each.plaintext.view()) for each in made}) == 8


def test_kms_that_is_away_is_left_alone_and_other_cmks_are_not(kms: FailingKms) -> None:
    gate = KmsGateway(
        GatewayParts(lambda _, __: kms, CallLimits(UNLIMITED, UNLIMITED), 0.05, Retry(jitter=lambda _: 0.06))
    )
    for _ in range(FAILURES):
        kms.failures = [KmsUnavailable("away")]
        with pytest.raises(KmsUnavailable):
            gate.generate(gate.begin(b"t"), URI, CONTEXT)
    calls = kms.calls
    with pytest.raises(CircuitOpen):
        gate.generate(gate.begin(b"t"), URI, CONTEXT)
    assert (kms.calls, gate.counters.held_back) == (calls, 1)
    gate.generate(gate.begin(b"t"), "local-kms://other", CONTEXT)


def test_unknown_kms_is_a_typed_error_without_a_call(tmp_path: Path) -> None:
    keystore = Keystore(tmp_path)
    limits: Any = CallLimits(Rate(1.0, 1), Rate(1.0, 1))
    gate = KmsGateway(
        GatewayParts(lambda uri, tenant: open_provider(uri, tenant, Backends(keystore)), limits, 1.0)
    )
    with pytest.raises(UnsupportedKms):
        gate.generate(gate.begin(b"t"), "aws-kms://arn", CONTEXT)
    assert gate.counters.calls == 0
