"""What a restore says to its workers: that it is there, and how many parcels of each segment it is done with.

Workers may only write to the delivery area and cannot see what was taken from it (`workers.restore.pace`).
"""

import time
from contextlib import suppress
from typing import Final

from client.broker import Publisher
from client.errors import BrokerUnreachable
from config.queues import HERE

LIFE_MS: Final = 60_000
"""A command that says nothing for so long, because it was stopped or cut off, is no longer waited for."""
PULSE_S: Final = 5.0
KEPT: Final = 1024
"""Segments that are remembered at the broker; more than all workers together are at, at a time."""


class Following:
    """The words of one restore. A broker that is away is no trouble here: who waits for letters sees that it is.

    Args:
        publisher: connected.
        job: 16 bytes.
    """

    def __init__(self, publisher: Publisher, job: bytes) -> None:
        self._publisher, self._job = publisher, job
        self._news: dict[int, int] = {}
        self._known: dict[int, None] = {}
        self._next = 0.0

    def took(self, segment: int, parcels: int) -> None:
        """So many parcels of a segment are done with; said with the next `tell`."""
        self._news[segment] = parcels

    def tell(self) -> None:
        """Say what is new, and every now and then that this command is there; call it freely."""
        now = time.monotonic()
        if not self._news and now < self._next:
            return
        fields = {str(segment): parcels for segment, parcels in self._news.items()}
        with suppress(BrokerUnreachable):
            self._publisher.say_taken(self._job, {HERE: 1, **fields}, LIFE_MS)
            self._next = now + PULSE_S
            self._known |= dict.fromkeys(self._news)
            self._news.clear()
            while len(self._known) > KEPT:
                oldest = next(iter(self._known))
                del self._known[oldest]
                self._publisher.forget_taken(self._job, str(oldest))

    def leave(self) -> None:
        """Say that nobody takes anything any more."""
        with suppress(BrokerUnreachable):
            self._publisher.say_taken(self._job, {HERE: 0}, LIFE_MS)
