"""Samples as tables in Markdown: programs down, steps across, medians in the cells."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median

from bench.measured import Result, Sample, results
from bench.sizes import MB

MIB = 1 << 20
_COMMAND = "command"


def case_table(samples: Sequence[Sample], case: str, cell: str) -> list[str]:
    """The lines of one case's table; none if nothing of it was measured."""
    mine = [each for each in samples if each.case == case]
    steps = list(dict.fromkeys(each.step for each in mine))
    tools = list(dict.fromkeys(each.tool for each in mine))
    if not mine:
        return []
    more = {title: column for title, column in _MORE.items() if any(column(mine, tool) for tool in tools)}
    if cell not in {"time", "each"}:
        more = {}
    rows = [["", *steps, *more], ["---"] * (1 + len(steps) + len(more))]
    for tool in tools:
        cells = [_CELLS[cell](found) if (found := results(mine, case, tool, step)) else "-" for step in steps]
        rows.append([tool, *cells, *(column(mine, tool) or "-" for column in more.values())])
    return [f"| {' | '.join(row)} |" for row in rows]


def memory_table(samples: Sequence[Sample]) -> list[str]:
    """The largest process of each program and role, by case."""
    peaks: dict[str, dict[str, int]] = {}
    anonymous: dict[str, dict[str, int]] = {}
    for each in samples:
        for sizes, into in ((each.result.peak, peaks), (each.result.anonymous, anonymous)):
            for role, size in sizes.items():
                row = into.setdefault(_process(each.tool, role), {})
                row[each.case] = max(row.get(each.case, 0), size)
    if not peaks:
        return []
    cases = list(dict.fromkeys(case for row in peaks.values() for case in row))
    rows = [["", *cases], ["---"] * (1 + len(cases))]
    rows += [
        [name, *(_memory(row.get(case), anonymous.get(name, {}).get(case)) for case in cases)]
        for name, row in peaks.items()
    ]
    return [f"| {' | '.join(row)} |" for row in rows]


def _process(tool: str, role: str) -> str:
    if tool.startswith("strongroom"):
        return f"strongroom: {role}"
    return tool if role == _COMMAND else f"{tool}: {role}"


def _memory(peak: int | None, anonymous: int | None) -> str:
    if peak is None:
        return "-"
    return f"{peak / MIB:,.0f}" + (f" ({anonymous / MIB:,.0f})" if anonymous else "")


def _time(found: Sequence[Result]) -> str:
    wall, cpu = _wall(found), median(each.cpu for each in found)
    return f"{wall:.2f} s ({cpu:.1f} s)"


def _seconds(found: Sequence[Result]) -> str:
    return f"{_wall(found):.3f} s"


def _stored(found: Sequence[Result]) -> str:
    return f"{median(each.stored or 0 for each in found) / MB:,.1f} MB"


def _each(found: Sequence[Result]) -> str:
    files = found[0].files
    return _time(found) + (f", {_wall(found) / files * 1e6:.1f} µs a file" if files else "")


def _rate(found: Sequence[Result]) -> str:
    handled, files = found[0].handled, found[0].files
    if handled:
        return f"{handled / MB / _wall(found):,.0f} MB/s"
    return f"{_wall(found) / files * 1e6:.1f} µs a file" if files else _seconds(found)


def _wall(found: Sequence[Result]) -> float:
    return median(each.wall for each in found)


_CELLS: Mapping[str, Callable[[Sequence[Result]], str]] = {
    "time": _time,
    "stored": _stored,
    "each": _each,
    "rate": _rate,
    "seconds": _seconds,
}


def _stored_column(samples: Sequence[Sample], tool: str) -> str:
    sizes = [each.result.stored for each in samples if each.tool == tool and each.result.stored is not None]
    return f"{max(sizes) / MB:,.1f} MB" if sizes else ""


def _new_column(samples: Sequence[Sample], tool: str) -> str:
    sizes = [each.result.added for each in samples if each.tool == tool and each.result.added is not None]
    return f"{median(sizes) / MB:,.2f} MB" if sizes else ""


def _read_column(samples: Sequence[Sample], tool: str) -> str:
    sizes = [each.result.read for each in samples if each.tool == tool and each.step == "one file"]
    known = [size for size in sizes if size is not None]
    return f"{median(known) / MB:,.2f} MB" if known else ""


def _kms_column(samples: Sequence[Sample], tool: str) -> str:
    calls: dict[str, list[int]] = {}
    for each in samples:
        if each.tool == tool and each.result.kms_calls is not None:
            calls.setdefault(each.step, []).append(each.result.kms_calls)
    return " / ".join(f"{median(found):.0f}" for found in calls.values())


def _peak_column(samples: Sequence[Sample], tool: str) -> str:
    sizes = [(size, role) for each in samples if each.tool == tool for role, size in each.result.peak.items()]
    if not sizes:
        return ""
    size, role = max(sizes)
    return f"{size / MIB:,.0f} MiB" + (f" ({role})" if role != _COMMAND else "")


_MORE: Mapping[str, Callable[[Sequence[Sample], str], str]] = {
    "stored": _stored_column,
    "new": _new_column,
    "read": _read_column,
    "KMS": _kms_column,
    "largest process": _peak_column,
}
