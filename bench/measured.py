"""What is written down: one result of one step, and whose it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Result:
    """One measured step. None: does not apply, or cannot be told.

    Attributes:
        wall, cpu: seconds; `cpu` of every process involved.
        stored: bytes of the repository afterwards.
        added: bytes by which the step made it larger.
        kms_calls: as the program reports them.
        read: bytes that the working processes read with read(2) and the like.
        files: how many the step went over, where the time of one is of interest.
        handled: bytes that it went over, where the rate is of interest.
        peak: largest resident memory of a process, in bytes, by the process's role.
        anonymous: the part of it that no file backs, where that was sampled.
    """

    wall: float
    cpu: float
    stored: int | None = None
    added: int | None = None
    kms_calls: int | None = None
    read: int | None = None
    files: int | None = None
    handled: int | None = None
    peak: Mapping[str, int] = field(default_factory=dict)
    anonymous: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """A result, and of which case, program, step and round it is."""

    case: str
    tool: str
    step: str
    round: int
    result: Result


@dataclass(frozen=True)
class Failure:
    """What could not be measured; `tool` is empty when the whole case failed."""

    case: str
    tool: str
    message: str


@dataclass(frozen=True)
class Spread:
    """Seconds of all rounds of one step."""

    case: str
    tool: str
    step: str
    rounds: int
    wall_median: float
    wall_min: float
    wall_max: float
    cpu_median: float


def results(samples: Sequence[Sample], case: str, tool: str, step: str) -> list[Result]:
    """The results of one step, round by round."""
    return [each.result for each in samples if (each.case, each.tool, each.step) == (case, tool, step)]


def spreads(samples: Sequence[Sample]) -> list[Spread]:
    """Median and extremes of every step, in the order in which they were first measured."""
    found = []
    for case, tool, step in dict.fromkeys((each.case, each.tool, each.step) for each in samples):
        these = results(samples, case, tool, step)
        walls = [each.wall for each in these]
        found.append(
            Spread(
                case,
                tool,
                step,
                len(these),
                median(walls),
                min(walls),
                max(walls),
                median(each.cpu for each in these),
            )
        )
    return found
