"""Packs that index objects name and the store does not have, found on the way through a listing that is made anyway."""

from collections.abc import Iterable, Iterator
from typing import Final

from repository import layout
from repository.errors import ObjectMissing
from repository.store import ReadStore

MOST: Final = 100
"""So many are looked for: each costs a request, for a listing may be behind."""


class Presence:
    """Holds the packs of an index against a listing.

    Args:
        store: where the packs should be.
        indexed: ids of the packs that index objects name, ascending; learnt before the listing begins.
    """

    def __init__(self, store: ReadStore, indexed: Iterator[bytes]) -> None:
        self._store = store
        self._indexed = indexed
        self.missing: list[str] = []
        """Their names, complete up to MOST once the listing has been gone through."""

    def through(self, names: Iterable[str]) -> Iterator[str]:
        """The names, which are those below packs/ in ascending order.

        Raises:
            StoreError: the store does not answer.
        """
        awaited = self._next()
        for name in names:
            while awaited and awaited < name:
                self._miss(awaited)
                awaited = self._next()
            if awaited == name:
                awaited = self._next()
            yield name
        while awaited and len(self.missing) < MOST:
            self._miss(awaited)
            awaited = self._next()

    def _next(self) -> str:
        found = next(self._indexed, None)
        return "" if found is None else layout.pack_name(found)

    def _miss(self, name: str) -> None:
        if len(self.missing) < MOST:
            try:
                self._store.size(name)
            except ObjectMissing:
                self.missing.append(name)
