"""Token buckets: how often a KMS may be called, over all tenants and by each.

They live in the broker's memory on purpose: whoever can write to the message broker could reset them there.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

Clock = Callable[[], float]
Sleep = Callable[[float], None]

MAX_TENANTS = 4096
"""Buckets kept; the one unused for longest is dropped first, and by then it is full again."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Calls per second, and how many may come at once after a pause."""

    per_second: float
    burst: int


class TokenBucket:
    """One bucket. A caller reserves a token and learns how long to wait for it; tokens may be owed.

    Args:
        rate: filling speed and size.
        clock: monotonic seconds.
    """

    def __init__(self, rate: Rate, clock: Clock = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._guard = threading.Lock()
        self._tokens = float(rate.burst)
        self._at = clock()

    def reserve(self, patience: float) -> float | None:
        """Take one token.

        Args:
            patience: seconds that the caller is ready to wait.

        Returns:
            Seconds to wait before using the token; None, with nothing taken, when that is longer than
            `patience`.
        """
        with self._guard:
            now = self._clock()
            self._tokens = min(
                float(self._rate.burst), self._tokens + (now - self._at) * self._rate.per_second
            )
            self._at = now
            wait = max(0.0, (1.0 - self._tokens) / self._rate.per_second)
            if wait > patience:
                return None
            self._tokens -= 1.0
            return wait


class CallLimits:
    """The bucket of a tenant, then the bucket of all.

    Args:
        everyone: the limit over all tenants.
        each: the limit of each tenant.
        clock: monotonic seconds.
        sleep: waits that many seconds.
    """

    def __init__(
        self, everyone: Rate, each: Rate, clock: Clock = time.monotonic, sleep: Sleep = time.sleep
    ) -> None:
        self._each = each
        self._clock = clock
        self._sleep = sleep
        self._all = TokenBucket(everyone, clock)
        self._tenants: OrderedDict[bytes, TokenBucket] = OrderedDict()
        self._guard = threading.Lock()

    def wait(self, tenant: bytes, deadline: float) -> bool:
        """Wait until one call for `tenant` is allowed.

        Args:
            tenant: 16 bytes.
            deadline: on the monotonic clock; never waits beyond it.

        Returns:
            False when no token comes before the deadline. The tenant's bucket comes first, so that a tenant
            over its own limit never uses up the others' share of the common one.
        """
        for bucket in (self._bucket(tenant), self._all):
            wait = bucket.reserve(deadline - self._clock())
            if wait is None:
                return False
            if wait > 0:
                self._sleep(wait)
        return True

    def _bucket(self, tenant: bytes) -> TokenBucket:
        with self._guard:
            bucket = self._tenants.get(tenant)
            if bucket is None:
                bucket = self._tenants[tenant] = TokenBucket(self._each, self._clock)
            self._tenants.move_to_end(tenant)
            if len(self._tenants) > MAX_TENANTS:
                self._tenants.popitem(last=False)
            return bucket
