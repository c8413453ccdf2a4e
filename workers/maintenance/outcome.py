"""What a check or an extension of locks says to its requester: numbers, and the names that a letter has room for."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence

from crypto import notes
from repository.check import CheckReport, Reading
from repository.findings import Loss, Problem, Touched
from repository.hidden import Hidden
from repository.needed import Needed
from workers.reporting import MAX_NAMED

STRUCTURE, PART, ALL = "structure", "part", "all"
"""How much of the data was read."""
GOOD, DAMAGED = "good", "damaged"
MAX_LOSSES = 500
"""Snapshots that are named."""
EXTENDED, INCOMPLETE = "extended", "incomplete"
MAX_MISSING = 1000
"""Objects that are named."""

_Value = dict[str, object]


def outcome_of(found: CheckReport, reading: Reading) -> notes.Outcome:
    """The result as JSON: see docs/operations.md, "Checking"."""
    numbers = {name: value for name, value in found._asdict().items() if isinstance(value, int)}
    del numbers["found"]
    room = _Room(MAX_NAMED)
    result = {
        "verdict": DAMAGED if found.found else GOOD,
        "read": STRUCTURE if not reading.data else ALL if reading.subset is None else PART,
        **numbers,
        "errors": found.found,
        **hidden_of(found.hidden),
        "losses": [loss for each in found.losses[:MAX_LOSSES] if room.take(loss := _loss(each))],
        "snapshots_touched": len(found.losses),
        "problems": list(_problems(found.problems, room)),
    }
    return notes.Outcome(json.dumps(result).encode(), ())


def extended_of(counts: Mapping[str, int], missing: Sequence[str], found: Needed) -> notes.Outcome:
    """What an extension of locks came to, as JSON: see docs/s3.md, "Lock".

    Args:
        counts: of objects, by what was done.
        missing: names of objects that are needed and not there.
        found: what was needed.
    """
    wrong = bool(missing or found.unreadable or found.hidden.newest)
    result = {
        "verdict": INCOMPLETE if wrong else EXTENDED,
        **counts,
        "missing": len(missing),
        "unreadable": found.unreadable,
        "missing_objects": list(missing[:MAX_MISSING]),
        **hidden_of(found.hidden),
    }
    return notes.Outcome(json.dumps(result).encode(), ())


def hidden_of(hidden: Hidden) -> _Value:
    """How many snapshots are hidden, None if that could not be seen, how many by `forget`, and the ids of some."""
    return {
        "hidden": len(hidden.names) if hidden.looked else None,
        "hidden_newest": len(hidden.newest),
        "hidden_snapshots": _ids(_few(hidden)),
        "forgotten": len(hidden.forgotten),
        "forgotten_snapshots": _ids(hidden.forgotten[:MAX_LOSSES]),
    }


def _ids(names: Sequence[str]) -> list[str]:
    return [name.rpartition("/")[2] for name in names]


def _few(hidden: Hidden) -> list[str]:
    first = list(hidden.newest[:MAX_LOSSES])
    others = [name for name in hidden.names if name not in set(first)]
    return first + others[: MAX_LOSSES - len(first)]


class _Room:
    """Bytes that are left in the letter."""

    def __init__(self, left: int) -> None:
        self._left = left

    def take(self, value: _Value) -> bool:
        """Whether there is room for it; then it is taken."""
        needed = len(json.dumps(value)) + 2
        if needed > self._left:
            return False
        self._left -= needed
        return True


def _problems(problems: list[Problem], room: _Room) -> Iterator[_Value]:
    for problem in problems:
        told: _Value = {"object": problem.object, "error": problem.text, "touches": []}
        if not room.take(told):
            return
        touches = [touch for each in problem.touched if room.take(touch := _touch(each))]
        yield told | {"touches": touches}


def _touch(touched: Touched) -> _Value:
    return {
        "snapshot": touched.snapshot.hex(),
        "first": os.fsdecode(touched.first),
        "last": os.fsdecode(touched.last),
    }


def _loss(loss: Loss) -> _Value:
    return {
        "snapshot": loss.snapshot.hex(),
        "time_ns": loss.time_ns,
        "files": loss.files,
        "of": loss.all_files,
    }
