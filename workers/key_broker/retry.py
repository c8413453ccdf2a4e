"""Trying a KMS call again: only what its error class calls retryable, with full jitter, within a deadline.

Full jitter (a random wait between nothing and a bound that doubles) spreads out the retries of many workers
that were throttled at the same moment: AWS Architecture Blog, "Exponential Backoff And Jitter".
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from crypto.kms.errors import KmsError
from workers.key_broker.breaker import CircuitOpen
from workers.key_broker.limits import Clock, Sleep

T = TypeVar("T")

FIRST_BOUND_S = 0.05
LAST_BOUND_S = 5.0


@dataclass(frozen=True, slots=True)
class Retry:
    """How to try again.

    Attributes:
        clock, sleep: monotonic seconds and waiting for some.
        jitter: a random number from 0 to its argument.
    """

    clock: Clock = time.monotonic
    sleep: Sleep = time.sleep
    jitter: Callable[[float], float] = field(default=lambda bound: random.uniform(0.0, bound))  # noqa: S311  (spreads load, hides nothing)

    def call(self, attempt: Callable[[], T], deadline: float, on_retry: Callable[[], None]) -> T:
        """Call until it works, fails for good, or time is up.

        Args:
            attempt: makes one call.
            deadline: on the clock; no attempt begins after it.
            on_retry: told of each failure that is tried again.

        Raises:
            CircuitOpen: at once, because waiting here is what the breaker is to prevent.
            KmsError: the last failure.
        """
        bound = FIRST_BOUND_S
        while True:
            try:
                return attempt()
            except CircuitOpen:
                raise
            except KmsError as error:
                pause = self.jitter(bound)
                if not error.retryable or self.clock() + pause >= deadline:
                    raise
                on_retry()
            self.sleep(pause)
            bound = min(LAST_BOUND_S, bound * 2)
