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
    """The KMS was away again and again: it is not asked at this moment. The requester may come again.

    Its words are those of the last call that was made: why the KMS is away is what somebody has to know.
    """


@dataclass(slots=True)
class _Circuit:
    failures: int = 0
    open_until: float = 0.0
    probing: bool = False
    cause: KmsUnavailable | None = None


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
                    raise _open(circuit)
                circuit.probing = True
        cause: KmsUnavailable | None = None
        try:
            yield
        except KmsUnavailable as error:
            # Without its frames: they hold what the call was made with.
            cause = KmsUnavailable(error.message, remedy=error.remedy)
            raise
        finally:
            with self._guard:
                circuit.failures, circuit.cause = (circuit.failures + 1, cause) if cause else (0, None)
                if circuit.failures >= FAILURES:
                    circuit.open_until = self._clock() + OPEN_S
                if probe:
                    circuit.probing = False


def _open(circuit: _Circuit) -> CircuitOpen:
    assert circuit.cause is not None
    return CircuitOpen(circuit.cause.message, remedy=circuit.cause.remedy)
