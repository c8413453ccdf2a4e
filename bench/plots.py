"""Which plots there are: the wall time of each step beside the others', and what a series costs to store."""

from collections.abc import Sequence
from statistics import median

from bench.charts import bars, lines
from bench.measured import Sample, results
from bench.sizes import MB

STEPS = (
    ("tree", "backup"),
    ("big", "backup"),
    ("tree", "unchanged"),
    ("changed", "changed"),
    ("tree", "restore"),
    ("big", "restore"),
    ("single", "one file"),
)
YARDSTICK = "restic"


def draw(samples: Sequence[Sample]) -> dict[str, str]:
    """The plots for which something was measured, as SVG by name: `time` and `series`."""
    drawn = {"time": times(samples), "series": series(samples)}
    return {name: svg for name, svg in drawn.items() if svg}


def times(samples: Sequence[Sample]) -> str:
    """Wall time of each step, restic's being 1; "" without restic."""
    groups = {}
    for case, step in STEPS:
        tools = dict.fromkeys(each.tool for each in samples if (each.case, each.step) == (case, step))
        walls = {tool: median(r.wall for r in results(samples, case, tool, step)) for tool in tools}
        if YARDSTICK in walls:
            label = f"{case}: {step}" if case != step else f"tree: {step}"
            groups[label] = {tool: wall / walls[YARDSTICK] for tool, wall in walls.items()}
    return bars(f"Wall time, {YARDSTICK} = 1", groups, "") if groups else ""


def series(samples: Sequence[Sample]) -> str:
    """Megabytes in the repository after each release; "" when the series was not measured."""
    mine = [each for each in samples if each.case == "series"]
    stored: dict[str, list[float]] = {}
    for each in mine:
        stored.setdefault(each.tool, []).append((each.result.stored or 0) / MB)
    points = list(dict.fromkeys(each.step for each in mine))
    return lines("Stored after each release, MB", points, stored, "MB") if mine else ""
