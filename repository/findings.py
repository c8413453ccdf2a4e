"""What a check found wrong, and what it keeps from being restored: as much of it as is of use to a person."""

from typing import Final, NamedTuple

MAX_PROBLEMS: Final = 10_000
"""Named; more are counted."""
MAX_TOUCHED: Final = 1000
"""Ranges of paths that one problem names."""


class Touched(NamedTuple):
    """Paths of a snapshot, `first` to `last` in path order, that a problem keeps from being restored."""

    snapshot: bytes
    first: bytes
    last: bytes


class Problem(NamedTuple):
    """Something wrong with one object or chunk, and what it touches."""

    object: str
    text: str
    touched: list[Touched]


class Loss(NamedTuple):
    """A snapshot of which not everything can be restored: so many of its files, as its manifests count them."""

    snapshot: bytes
    time_ns: int
    files: int
    all_files: int


class Findings:
    """Problems by object and text, in the order of their finding, and losses by snapshot."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], list[Touched]] = {}
        self._unnamed = 0
        self._losses: dict[bytes, Loss] = {}

    def __len__(self) -> int:
        """Problems, also those that are not named."""
        return len(self._found) + self._unnamed

    def add(self, name: str, text: str) -> None:
        """Something is wrong with an object; say it once."""
        if (name, text) in self._found:
            return
        if len(self._found) < MAX_PROBLEMS:
            self._found[name, text] = []
        else:
            self._unnamed += 1

    def touch(self, name: str, text: str, touched: Touched) -> None:
        """What was added before touches these paths."""
        places = self._found.get((name, text))
        if places is not None and len(places) < MAX_TOUCHED:
            places.append(touched)

    def lose(self, snapshot: bytes, time_ns: int, files: int, all_files: int) -> None:
        """So many more files of a snapshot cannot be restored."""
        known = self._losses.get(snapshot)
        self._losses[snapshot] = Loss(snapshot, time_ns, files + (known.files if known else 0), all_files)

    def problems(self) -> list[Problem]:
        """Those that are named."""
        return [Problem(name, text, touched) for (name, text), touched in self._found.items()]

    def losses(self) -> list[Loss]:
        """Oldest snapshot first."""
        return sorted(self._losses.values(), key=lambda loss: (loss.time_ns, loss.snapshot))
