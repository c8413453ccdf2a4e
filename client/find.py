"""The matches of a search, snapshot by snapshot, put together from an answer in which each is only once."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Final, NamedTuple

from client.answer import Answer, Line, ListingDamaged

_KEPT: Final = 4
"""Parcels in memory: neighbours in a snapshot are neighbours in the answer, as a rule."""


class Found(NamedTuple):
    """The matches in one snapshot, to be taken before those of the next."""

    snapshot: str
    time_ns: int
    hostname: str
    matches: Iterator[Line]


class Findings:
    """What a search has found. `damaged`: snapshots that could not be opened, when all was taken."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._open: OrderedDict[int, list[Line]] = OrderedDict()
        self.damaged: list[tuple[str, str]] = []

    def __iter__(self) -> Iterator[Found]:
        """The snapshots with a match, the newest first.

        Raises:
            ListingDamaged and others: see `client.answer.Answer.lines`.
        """
        table = self._answer.lines(_number(self._answer.outcome.get("table")))
        for name, group in groupby(table, lambda line: str(line.get("id", ""))):
            first = next(group)
            if "error" in first:
                self.damaged.append((name, str(first["error"])))
            elif first.get("places"):
                lines = (line for part in (iter((first,)), group) for line in part)
                yield Found(
                    name,
                    _number(first.get("time_ns")),
                    str(first.get("hostname", "")),
                    self._matches(lines),
                )

    def _matches(self, lines: Iterable[Line]) -> Iterator[Line]:
        for line in lines:
            for place in line.get("places", ()):
                if not isinstance(place, list) or len(place) != 3:
                    raise ListingDamaged("a place in the listing is none", remedy="use the same release")
                parcel, first, count = map(_number, place)
                yield from self._parcel(parcel)[first : first + count]

    def _parcel(self, number: int) -> list[Line]:
        lines = self._open.pop(number, None)
        if lines is None:
            lines = self._answer.parcel(number)
        self._open[number] = lines
        if len(self._open) > _KEPT:
            self._open.popitem(last=False)
        return lines


def _number(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise ListingDamaged("a number in the listing is none", remedy="use the same release")
    return value
