"""How a long job of this role stays alive: lease renewed, requester told how far it is, keys asked for."""

import time
from contextlib import suppress
from typing import Final

from crypto import notes
from repository.errors import RepositoryError
from repository.walk import Far
from workers.keys import VaultKeys
from workers.reporting import NOTE_EVERY_S, Reporter

ASK_EVERY_S: Final = 5.0
"""Seconds after which a key is asked of the cache, whether one is needed or not."""


class Live:
    """Told how far the job is (`repository.walk.Progress`), as often as is convenient.

    The key-broker gives no key to a job that was called off, or that another attempt has taken up. One is asked for
    even while none is needed, so that such a job ends as soon as its cached keys do.

    Args:
        reporter: of the job.
        keys: of its vault.
    """

    def __init__(self, reporter: Reporter, keys: VaultKeys) -> None:
        self._reporter = reporter
        self._keys = keys
        self._told = (0, 0)
        self._next_total = 0.0
        self._next_key = time.monotonic() + ASK_EVERY_S

    def __call__(self, far: Far) -> None:
        """Take note of it.

        Raises:
            KeyRefused, KeyBrokerSilent, BrokerUnreachable: the job is to end.
        """
        now = time.monotonic()
        totals = far.all_objects, far.all_bytes
        if totals != self._told and now >= self._next_total:
            self._told, self._next_total = totals, now + NOTE_EVERY_S
            self._reporter.note(notes.Planned(1, *totals))
        self._reporter.progress(0, far.objects, far.byte_count)
        if now >= self._next_key:
            self._next_key = now + ASK_EVERY_S
            with suppress(RepositoryError):  # a key record that is not there is for the job itself to name
                self._keys.chunk_id_key()
