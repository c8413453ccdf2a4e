"""A bucket's listing in path order, with bounded memory and few requests. Pure: what lists is handed in.

S3 lists keys by their bytes, so that `a-1` comes before `a/b`; snapshots have `a/b` before `a-1`, because what is below
`a` follows it at once. So an object waits here as long as something may still come that belongs before it: after
`a-1`, until the listing is past everything that begins with `a/`. When too many wait, the first of them has its
question asked: is there anything below `a/`? If so, that is listed at once, and left out where the listing comes to it.
Everything that waits begins with the same letters as the first, so one question answers for all.

Servers that keep their keys in a tree (SeaweedFS, others on file systems) list in path order: there nothing waits.
"""

import re
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import Final, NamedTuple

from sources.s3.names import escape
from sources.source import order_key

WINDOW: Final = 20_000
"""Objects that wait at most; some 10 MB."""

_BELOW_SLASH = re.compile(r"[\0-.]")
_LAST: Final = "\U0010ffff"


class Listed(NamedTuple):
    """What a listing says of an object; `modified_s`: since 1970."""

    key: str
    size: int
    etag: str
    modified_s: int


List = Callable[[str, str, int], Iterator[Listed]]
"""Lists the keys that begin with a prefix and, unless it is empty, come after a key; so many for each request."""


def in_path_order(objects: List, prefix: str, window: int = WINDOW, page: int = 1000) -> Iterator[Listed]:
    """The objects whose keys begin with `prefix` (empty, or ending in a slash) in path order."""
    waiting: list[tuple[bytes, Listed]] = []
    listing = objects(prefix, "", page)
    latest = ""
    answered: set[str] = set()
    done: list[str] = []
    in_tree_order = False
    for found in _Skipping(objects, prefix, page, listing, done):
        in_tree_order = in_tree_order or found.key < latest
        latest = found.key
        heappush(waiting, (order_key(escape(found.key)), found))
        while waiting:
            first = waiting[0][1]
            above = [] if in_tree_order else _may_come(first.key, len(prefix), latest, answered)
            if above and len(waiting) < window:
                break
            for folder in above:
                answered.add(folder)
                if next(objects(folder, "", 1), None) is not None:
                    done.append(folder)
                    yield from in_path_order(objects, folder, window, page)
            yield heappop(waiting)[1]
    while waiting:
        yield heappop(waiting)[1]


def _may_come(key: str, start: int, latest: str, answered: set[str]) -> list[str]:
    """Folders whose content belongs before `key` and may still be listed, nothing being known of it."""
    folders = []
    for match in _BELOW_SLASH.finditer(key, start):
        name = key[: match.start()]
        if latest >= name + "0":  # the character after the slash; longer names are past all the more
            break
        if name + "/" not in answered:
            folders.append(name + "/")
    return folders


class _Skipping:
    """A listing without the folders in `done`, which grows while it is read."""

    def __init__(
        self, objects: List, prefix: str, page: int, listing: Iterator[Listed], done: list[str]
    ) -> None:
        self._objects, self._prefix, self._page = objects, prefix, page
        self._listing, self._done = listing, done

    def __iter__(self) -> Iterator[Listed]:
        return self

    def __next__(self) -> Listed:
        while True:
            found = next(self._listing)
            folder = next((each for each in self._done if found.key.startswith(each)), None)
            if folder is None:
                return found
            self._done.remove(folder)
            self._listing = self._objects(self._prefix, folder + _LAST, self._page)
