"""A circuit breaker for each CMK: a KMS that does not answer must not hold all threads of the broker.

After FAILURES calls in a row that found a KMS away, its CMK's calls fail at once for OPEN_S, so that the requests of
other tenants go on; then one call tries, and decides for all. Refusals and throttling are answers: they count for
nothing here.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from crypto.kms.errors import KmsUnavailable
from workers.key_broker.limits import Clock

FAILURES = 6
OPEN_S = 5.0
MAX_CIRCUITS = 1024
"""Circuits kept; the one unused for longest is dropped first, and then it is closed."""


class CircuitOpen(KmsUnavailable):
    """The KMS was away again and again: it is not asked at this moment. The requester may come again."""


@dataclass(slots=True)
class _Circuit:
    failures: int = 0
    open_until: float = 0.0
    probing: bool = False


class Breaker:
    """Lets calls through, or not. Safe for several threads.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._circuits: OrderedDict[str, _Circuit] = OrderedDict()

    @contextmanager
    def call(self, name: str) -> Iterator[None]:
        """Around one call to the KMS of `name`.

        Raises:
            CircuitOpen: the call is not to be made now.
        """
        with self._guard:
            circuit = self._circuits.setdefault(name, _Circuit())
            self._circuits.move_to_end(name)
            if len(self._circuits) > MAX_CIRCUITS:
                self._circuits.popitem(last=False)
            probe = circuit.failures >= FAILURES
            if probe:
                if circuit.probing or self._clock() < circuit.open_until:
                    raise CircuitOpen(
                        "the KMS failed several times in a row and is left alone for some seconds"
                    )
                circuit.probing = True
        away = False
        try:
            yield
        except KmsUnavailable:
            away = True
            raise
        finally:
            with self._guard:
                circuit.failures = circuit.failures + 1 if away else 0
                if circuit.failures >= FAILURES:
                    circuit.open_until = self._clock() + OPEN_S
                if probe:
                    circuit.probing = False
