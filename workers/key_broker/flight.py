"""Single flight: equal requests at the same time make one call and share its answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from config.errors import StrongroomError

T = TypeVar("T")


@dataclass(slots=True)
class _Flight(Generic[T]):
    landed: threading.Event = field(default_factory=threading.Event)
    passengers: int = 0
    shares: list[T] = field(default_factory=list)
    error: StrongroomError | None = None


class SingleFlight(Generic[T]):
    """Joins equal calls that overlap in time.

    Args:
        copy: makes a passenger's own copy of the answer, so that each may wipe theirs.
    """

    def __init__(self, copy: Callable[[T], T]) -> None:
        self._copy = copy
        self._guard = threading.Lock()
        self._flights: dict[Hashable, _Flight[T]] = {}

    def fly(self, key: Hashable, call: Callable[[], T], patience: float) -> tuple[T, bool] | None:
        """Call, or share the answer (or the error) of an equal call that is under way.

        Args:
            key: equal for equal calls.
            call: may raise StrongroomError; anything else it raises is a defect and is not shared.
            patience: seconds that a passenger waits.

        Returns:
            The answer, and whether it was another's; None for a passenger whose patience ended.
        """
        with self._guard:
            flight = self._flights.get(key)
            if flight is not None:
                flight.passengers += 1
            else:
                mine = self._flights[key] = _Flight()
        if flight is None:
            return self._pilot(key, mine, call), False
        if not flight.landed.wait(patience):
            with self._guard:
                # It may have landed in between; then a share lies ready and must not be left behind.
                if not flight.landed.is_set():
                    flight.passengers -= 1
                    return None
        if flight.error is not None:
            raise flight.error
        with self._guard:
            if flight.shares:
                return flight.shares.pop(), True
        return None

    def _pilot(self, key: Hashable, flight: _Flight[T], call: Callable[[], T]) -> T:
        try:
            answer = call()
        except StrongroomError as error:
            flight.error = error
            raise
        else:
            with self._guard:
                flight.shares.extend(self._copy(answer) for _ in range(flight.passengers))
                self._land(key, flight)
            return answer
        finally:
            if not flight.landed.is_set():
                with self._guard:
                    self._land(key, flight)

    def _land(self, key: Hashable, flight: _Flight[T]) -> None:
        del self._flights[key]
        flight.landed.set()
