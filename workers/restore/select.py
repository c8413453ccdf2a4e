"""Which manifests and entries of a snapshot a request means: pure, in terms of paths."""

from collections.abc import Iterable, Iterator

from repository.manifest import Entry, ManifestRef
from sources.patterns import Patterns
from sources.source import order_key

_ROOT = b"/"


class Selection:
    """What is wanted of a snapshot.

    Args:
        path: only this path and what is below it; empty or `/` for everything.
        includes: only what these match, itself or by a parent; no pattern, everything.
        excludes: nothing that these match.

    Raises:
        PatternError: a pattern cannot be understood.
    """

    def __init__(self, path: bytes, includes: Iterable[str] = (), excludes: Iterable[str] = ()) -> None:
        self._path = path.rstrip(b"/")
        self._includes = Patterns.parse(list(includes))
        self._excludes = Patterns.parse(list(excludes))
        self._low = order_key(self._path)
        self._high = self._low + b"\x01"
        self._below = self._path + b"/"

    @property
    def everything(self) -> bool:
        """Whether nothing of the snapshot is left out."""
        return not self._path and not self._includes and not self._excludes

    def overlaps(self, ref: ManifestRef) -> bool:
        """Whether a manifest can hold anything wanted, by its first and last path."""
        if not self._path:
            return True
        return order_key(ref.last) >= self._low and order_key(ref.first) < self._high

    def entries(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """The wanted ones, in the order given."""
        if self.everything:
            yield from entries
            return
        for entry in entries:
            path = entry.path
            if self._path and path != self._path and not path.startswith(self._below):
                continue
            if self._includes and not self._includes.matches(path):
                continue
            if self._excludes and self._excludes.matches(path):
                continue
            yield entry
