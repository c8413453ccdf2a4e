"""The only door to any KMS: every call passes the limits, retries and single flight, and is counted."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from crypto.kms.errors import KmsError, KmsUnavailable, Throttled
from crypto.kms.provider import DataKey, EncryptionContext, KeyDescription, KmsProvider, Note, WrappedKey
from crypto.secret import SecretKey
from workers.key_broker.breaker import Breaker, CircuitOpen
from workers.key_broker.flight import SingleFlight
from workers.key_broker.limits import CallLimits, Clock
from workers.key_broker.retry import Retry

T = TypeVar("T")

MAX_PROVIDERS = 1024
"""Providers kept open; the one unused for longest is dropped first."""


MAX_REQUEST_IDS = 256
"""Ids of KMS requests kept for one visit's audit entry: every wanted key, with some retries."""


class RateLimited(Throttled):
    """Our own limits, not the KMS, say that this tenant has to wait."""

    code = "rate-limited"


class Counters(msgspec.Struct, frozen=True):
    """What the gateway has done since its process began.

    Attributes:
        calls: calls that really went to a KMS, retries included.
        retries: those of them that were made again.
        throttled: answers of a KMS that it had too many calls.
        rate_limited: calls that our own limits did not let through in time.
        shared: answers that came from another request's call.
        failed: calls that a KMS answered with an error.
        held_back: calls that were not made because the KMS had been away again and again.
    """

    calls: int = 0
    retries: int = 0
    throttled: int = 0
    rate_limited: int = 0
    shared: int = 0
    failed: int = 0
    held_back: int = 0


@dataclass(slots=True)
class Visit:
    """One request's way through the gateway: on whose behalf, until when, and the calls it caused.

    Attributes:
        tenant: 16 bytes; whose limit the calls count against.
        deadline: monotonic seconds.
        calls: KMS calls made so far for this request alone.
        kms_requests: the ids that the KMS gave them, where it gives any; at most MAX_REQUEST_IDS.
    """

    tenant: bytes
    deadline: float
    calls: int = 0
    kms_requests: list[str] = field(default_factory=list)

    def note(self, request_id: str) -> None:
        """Keep the id of a request that was made to a KMS."""
        if len(self.kms_requests) < MAX_REQUEST_IDS:
            self.kms_requests.append(request_id)


@dataclass(frozen=True, slots=True)
class GatewayParts:
    """What a gateway is put together from.

    Attributes:
        open: the provider of a KMS URI for a tenant; raises KmsError.
        limits: the token buckets.
        retry: how to try again.
        deadline_s: seconds for one request with all its calls.
        breaker: keeps a KMS that is away from holding every thread.
        clock: monotonic seconds; the same as in `limits`, `retry` and `breaker`.
    """

    open: Callable[[str, bytes], KmsProvider]
    limits: CallLimits
    deadline_s: float
    retry: Retry = field(default_factory=Retry)
    breaker: Breaker = field(default_factory=Breaker)
    clock: Clock = time.monotonic


class KmsGateway:
    """Calls KMS providers, within limits. Safe for several threads.

    Args:
        parts: see GatewayParts.
    """

    def __init__(self, parts: GatewayParts) -> None:
        self._parts = parts
        self._guard = threading.Lock()
        self._counters = Counters()
        self._providers: OrderedDict[tuple[bytes, str], KmsProvider] = OrderedDict()
        self._flights: SingleFlight[SecretKey] = SingleFlight(lambda key: SecretKey(key.view()))

    @property
    def counters(self) -> Counters:
        """What was done so far."""
        return self._counters

    def begin(self, tenant: bytes) -> Visit:
        """Begin a request of `tenant`: its time starts now."""
        return Visit(tenant, self._parts.clock() + self._parts.deadline_s)

    def generate(self, visit: Visit, uri: str, context: EncryptionContext) -> DataKey:
        """A new data key. Never shared: two requests that both make a key must get two.

        Raises:
            KmsError: the KMS's last answer, or RateLimited.
        """
        provider = self._provider(visit, uri)
        return self._call(visit, uri, lambda note: provider.generate(context, note))

    def decrypt(self, visit: Visit, uri: str, wrapped: WrappedKey, context: EncryptionContext) -> SecretKey:
        """Unwrap a key; equal requests of a tenant that overlap share one call, each getting its own copy.

        Raises:
            KmsError: the KMS's last answer, or RateLimited.
        """
        provider = self._provider(visit, uri)
        patience = visit.deadline - self._parts.clock()
        same = (visit.tenant, uri, wrapped, tuple(sorted(context.items())))
        flown = self._flights.fly(
            same,
            lambda: self._call(visit, uri, lambda note: provider.decrypt(wrapped, context, note)),
            patience,
        )
        if flown is None:
            raise KmsUnavailable("the KMS did not answer in time")
        key, shared = flown
        if shared:
            self._count(shared=1)
        return key

    def reencrypt(
        self,
        visit: Visit,
        uri: str,
        wrapped: WrappedKey,
        source: EncryptionContext,
        target: EncryptionContext,
    ) -> WrappedKey:
        """Wrap a key under the CMK of `uri`; see `KmsProvider.reencrypt`.

        Raises:
            KmsError: the KMS's last answer, or RateLimited.
        """
        provider = self._provider(visit, uri)
        return self._call(visit, uri, lambda note: provider.reencrypt(wrapped, source, target, note))

    def describe(self, visit: Visit, uri: str) -> KeyDescription:
        """The state of the CMK of `uri`.

        Raises:
            KmsError: the KMS's last answer, or RateLimited.
        """
        return self._call(visit, uri, self._provider(visit, uri).describe)

    def create_missing(self, visit: Visit, uri: str) -> None:
        """Make the CMK of `uri` if there is none and its KMS leaves that to us.

        Raises:
            KmsError: the KMS's last answer, or RateLimited.
        """
        self._call(visit, uri, self._provider(visit, uri).create_missing)

    def _provider(self, visit: Visit, uri: str) -> KmsProvider:
        """A provider for the visit's tenant alone: what it holds open with a KMS is the tenant's session."""
        key = (visit.tenant, uri)
        with self._guard:
            provider = self._providers.get(key)
            if provider is None:
                provider = self._providers[key] = self._parts.open(uri, visit.tenant)
            self._providers.move_to_end(key)
            if len(self._providers) > MAX_PROVIDERS:
                self._providers.popitem(last=False)
            return provider

    def _call(self, visit: Visit, uri: str, call: Callable[[Note], T]) -> T:
        def attempt() -> T:
            if not self._parts.limits.wait(visit.tenant, visit.deadline):
                self._count(rate_limited=1)
                raise RateLimited("too many keys were asked for in a short time")
            with self._parts.breaker.call(uri):
                visit.calls += 1
                self._count(calls=1)
                try:
                    return call(visit.note)
                except KmsError as error:
                    self._count(failed=1, throttled=int(isinstance(error, Throttled)))
                    raise

        try:
            return self._parts.retry.call(attempt, visit.deadline, lambda: self._count(retries=1))
        except CircuitOpen:
            self._count(held_back=1)
            raise

    def _count(
        self,
        *,
        calls: int = 0,
        retries: int = 0,
        throttled: int = 0,
        rate_limited: int = 0,
        shared: int = 0,
        failed: int = 0,
        held_back: int = 0,
    ) -> None:
        with self._guard:
            old = self._counters
            self._counters = Counters(
                old.calls + calls,
                old.retries + retries,
                old.throttled + throttled,
                old.rate_limited + rate_limited,
                old.shared + shared,
                old.failed + failed,
                old.held_back + held_back,
            )
