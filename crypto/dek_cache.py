"""The key cache of one process: the only place where an unwrapped vault key stays longer than a call.

Entries are kept apart by tenant, vault, purpose, epoch and by whether they may encrypt or only decrypt. An entry ends
at its maximum age, whatever is going on: that age is the bound within which a disabled CMK takes effect.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from crypto.errors import CryptoError, KeyWiped
from crypto.secret import SecretKey

DEFAULT_MAX_AGE_S = 300.0
MAX_MAX_AGE_S = 900.0
_FETCHES = 2
"""How often one `get` asks when what it was given was revoked or out of date before it came."""


def since_boot() -> float:
    """Seconds since boot, those asleep included: a key does not outlive its age in a suspended machine."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Slot(NamedTuple):
    """What an entry is for. `operation` is `encrypt` or `decrypt`; neither stands in for the other."""

    tenant: bytes
    vault: bytes
    purpose: str
    epoch: int
    operation: str


class _Entry:
    __slots__ = ("bytes", "expires", "key", "messages")

    def __init__(self, key: SecretKey, expires: float) -> None:
        self.key = key
        self.expires = expires
        self.messages = 0
        self.bytes = 0


class _Flight:
    __slots__ = ("lock", "passengers")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.passengers = 0


class DekCache:
    """Unwrapped keys of this process, each for a limited time, number of messages and number of bytes.

    Args:
        max_age_s: seconds from the unwrap to the wipe; at most 900.
        capacity: entries per tenant; the least recently used goes first.
        max_messages, max_bytes: how much one unwrapped key may seal or open before it must be asked for again.
        clock: seconds that never go back.

    Raises:
        CryptoError: `max_age_s` or `capacity` is out of range.
    """

    def __init__(
        self,
        *,
        max_age_s: float = DEFAULT_MAX_AGE_S,
        capacity: int = 16,
        max_messages: int = 1 << 32,
        max_bytes: int = 1 << 45,
        clock: Callable[[], float] = since_boot,
    ) -> None:
        if not 0 < max_age_s <= MAX_MAX_AGE_S:
            raise CryptoError(
                f"the cache's maximum age must be within 0 and {MAX_MAX_AGE_S:.0f} s, not {max_age_s}"
            )
        if capacity < 1:
            raise CryptoError("the cache must have room for one key at least")
        self._max_age_s = max_age_s
        self._capacity = capacity
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._flights: dict[Slot, _Flight] = {}
        self._revocations = 0
        self._tenants: dict[bytes, OrderedDict[Slot, _Entry]] = {}

    def get(self, slot: Slot, fetch: Callable[[], SecretKey], *, min_left_s: float = 0.0) -> SecretKey:
        """The key for `slot`; `fetch` is called when there is none, once even when several threads ask.

        Args:
            fetch: asks the key-broker; may raise, and then nothing is cached.
            min_left_s: ask anew if less life than this is left, so that a long piece of work is not cut short.

        Returns:
            The cached key itself: it is wiped under its user's hands when its time is over.

        Raises:
            KeyWiped: each key that was given had been revoked, or was over its age, before it came.
        """
        found = self._lookup(slot, min_left_s)
        if found is not None:
            return found
        with self._flight(slot):
            found = self._lookup(slot, min_left_s)
            if found is not None:
                return found
            for _ in range(_FETCHES):
                asked_at, revocations = self._clock(), self._revocations
                key = fetch()
                if self._store(slot, key, asked_at, revocations):
                    return key
                key.wipe()
            raise KeyWiped("a key was void before it came", remedy="ask the key-broker again")

    def charge(self, slot: Slot, messages: int, byte_count: int) -> None:
        """Count what a key was used for; over a limit the entry ends."""
        with self._lock:
            entry = self._tenants.get(slot.tenant, OrderedDict()).get(slot)
            if entry is None:
                return
            entry.messages += messages
            entry.bytes += byte_count
            if entry.messages >= self._max_messages or entry.bytes >= self._max_bytes:
                self._drop(slot)

    def sweep(self) -> int:
        """Wipe what is over its age; returns how many entries are left."""
        now = self._clock()
        with self._lock:
            over = [
                slot
                for slots in self._tenants.values()
                for slot, entry in slots.items()
                if entry.expires <= now
            ]
            for slot in over:
                self._drop(slot)
            return sum(len(slots) for slots in self._tenants.values())

    def revoke(self, tenant: bytes, vault: bytes | None = None) -> None:
        """Wipe all entries of a tenant, or of one of its vaults, at once; a key on its way is not kept either."""
        with self._lock:
            self._revocations += 1
            for slot in list(self._tenants.get(tenant, ())):
                if vault is None or slot.vault == vault:
                    self._drop(slot)

    def clear(self) -> None:
        """Wipe everything; for the end of the process."""
        with self._lock:
            self._revocations += 1
            for slots in list(self._tenants.values()):
                for slot in list(slots):
                    self._drop(slot)

    def _lookup(self, slot: Slot, min_left_s: float) -> SecretKey | None:
        with self._lock:
            slots = self._tenants.get(slot.tenant)
            entry = slots.get(slot) if slots else None
            if slots is None or entry is None:
                return None
            left = entry.expires - self._clock()
            if left <= 0:
                self._drop(slot)
                return None
            if left < min(min_left_s, self._max_age_s / 2):
                return None
            slots.move_to_end(slot)
            return entry.key

    def _store(self, slot: Slot, key: SecretKey, asked_at: float, revocations: int) -> bool:
        """Keep a key, unless something was revoked or its time went by since it was asked for."""
        with self._lock:
            expires = asked_at + self._max_age_s
            if revocations != self._revocations or expires <= self._clock():
                return False
            slots = self._tenants.setdefault(slot.tenant, OrderedDict())
            if slot in slots:
                self._drop(slot)
            slots = self._tenants.setdefault(slot.tenant, OrderedDict())
            slots[slot] = _Entry(key, expires)
            while len(slots) > self._capacity:
                self._drop(next(iter(slots)))
            return True

    @contextmanager
    def _flight(self, slot: Slot) -> Iterator[None]:
        """One at a time for each slot; forgotten when nobody is left in it."""
        with self._lock:
            flight = self._flights.setdefault(slot, _Flight())
            flight.passengers += 1
        try:
            with flight.lock:
                yield
        finally:
            with self._lock:
                flight.passengers -= 1
                if not flight.passengers:
                    del self._flights[slot]

    def _drop(self, slot: Slot) -> None:
        """With the lock held: remove an entry and wipe its key."""
        slots = self._tenants[slot.tenant]
        slots.pop(slot).key.wipe()
        if not slots:
            del self._tenants[slot.tenant]
