"""What a case is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bench.bench import Bench

Cell = Literal["time", "stored", "each", "rate", "seconds"]
"""What a case's table shows: wall and processor time; stored bytes; time for each file; bytes a second; seconds."""


@dataclass(frozen=True)
class Case:
    """One case.

    Attributes:
        name: in --cases and as a heading.
        about: what is measured, for the report.
        run: measures it; tells the bench.
        cell: see `Cell`.
        room: gibibytes below --dir that it needs beside tree and big data, in full size.
        offline_is_fine: in quick, a missing network skips it.
    """

    name: str
    about: str
    run: Callable[[Bench], None]
    cell: Cell = "time"
    room: float = 4.0
    offline_is_fine: bool = False
