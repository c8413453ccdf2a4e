"""Who may hold how many of the key-broker's threads: a tenant whose KMS is slow leaves some to the others.

A request holds its thread while it waits for limits, for another's call, for the KMS and between tries; so what is
counted is requests, not calls. A tenant has at most half of what the others leave: with eight threads and one slow
tenant four, with a second one two more.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from workers.key_broker.gateway import RateLimited

WAIT_S = 1.0
"""How long a request waits for a seat: it holds a thread meanwhile. A KMS that is well answers several times in it."""


class Seats:
    """The seats for requests, one for each thread. Safe for several threads.

    Args:
        total: threads of the broker.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._left = threading.Condition()
        self._taken: Counter[bytes] = Counter()

    @contextmanager
    def taken(self, tenant: bytes) -> Iterator[None]:
        """Hold a seat.

        Raises:
            RateLimited: the tenant holds its share already; the requester may come again.
        """
        with self._left:
            if not self._left.wait_for(lambda: self._free(tenant), WAIT_S):
                raise RateLimited(
                    "all that this tenant may ask for at once is waiting for its KMS",
                    remedy="wait and try again; if it lasts, see why the KMS is slow",
                )
            self._taken[tenant] += 1
        try:
            yield
        finally:
            with self._left:
                self._taken[tenant] -= 1
                if not self._taken[tenant]:
                    del self._taken[tenant]
                self._left.notify_all()

    def _free(self, tenant: bytes) -> bool:
        own = self._taken.get(tenant, 0)
        others = self._taken.total() - own
        return own < max(1, -(-(self._total - others) // 2))
