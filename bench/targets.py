"""The targets that this project set itself, and what was measured against each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.measured import Result, Sample, results

OURS = "strongroom"
TAR, RESTIC, BORG = "tar + zstd -1 -T2", "restic", "borg, zstd 1"
MIB = 1 << 20
_Value = Callable[[Sequence[Sample]], float | None]


@dataclass(frozen=True)
class Target:
    """One line of the table.

    Attributes:
        case: which is measured for it.
        what: in words.
        limit: the measured value has to be at most that; at least, if `floor`.
        unit: of both.
        value: from the samples; None if something is missing.
    """

    case: str
    what: str
    limit: float
    unit: str
    value: _Value
    floor: bool = False

    def met(self, value: float) -> bool:
        """Whether a measured value reaches the target."""
        return value >= self.limit if self.floor else value <= self.limit


def _median(found: Sequence[Result], of: Callable[[Result], float | None]) -> float | None:
    values = [value for result in found if (value := of(result)) is not None]
    return median(values) if values else None


def _wall(case: str, step: str, tool: str = OURS) -> _Value:
    return lambda samples: _median(results(samples, case, tool, step), lambda result: result.wall)


def _ratio(above: _Value, below: _Value) -> _Value:
    def value(samples: Sequence[Sample]) -> float | None:
        over, under = above(samples), below(samples)
        return over / under if over is not None and under else None

    return value


def _against(case: str, step: str, other: str) -> _Value:
    return _ratio(_wall(case, step), _wall(case, step, other))


def _added(tool: str) -> _Value:
    return lambda samples: _median(results(samples, "changed", tool, "changed"), lambda result: result.added)


def _stored_last(tool: str) -> _Value:
    def value(samples: Sequence[Sample]) -> float | None:
        series = [each.result.stored for each in samples if (each.case, each.tool) == ("series", tool)]
        return series[-1] if series else None

    return value


def _kms(step: str) -> _Value:
    return lambda samples: _median(results(samples, "tree", OURS, step), lambda result: result.kms_calls)


def _read(samples: Sequence[Sample]) -> float | None:
    found = _median(results(samples, "single", OURS, "one file"), lambda result: result.read)
    return None if found is None else found / MIB


def _largest_process(samples: Sequence[Sample]) -> float | None:
    peaks = [size for each in samples if each.case == "many" for size in each.result.peak.values()]
    return max(peaks) / MIB if peaks else None


def _each_file(samples: Sequence[Sample]) -> float | None:
    """Time for a file among the most files, over that among the fewest."""
    by_count: dict[int, list[float]] = {}
    for each in samples:
        if (each.case, each.step) == ("many", "backup") and each.result.files:
            by_count.setdefault(each.result.files, []).append(each.result.wall / each.result.files)
    if len(by_count) < 2:
        return None
    return median(by_count[max(by_count)]) / median(by_count[min(by_count)])


def _speed_up(step: str) -> _Value:
    one, two = (_wall("workers", step, f"{OURS}, {name}") for name in ("1 worker", "2 workers"))
    return _ratio(one, two)


TARGETS = (
    Target("tree", "backup of the tree", 1.0, "times tar + zstd", _against("tree", "backup", TAR)),
    Target("tree", "backup of the tree", 0.30, "times restic", _against("tree", "backup", RESTIC)),
    Target("big", "backup of big", 0.8, "times tar + zstd", _against("big", "backup", TAR)),
    Target("big", "backup of big", 0.25, "times restic", _against("big", "backup", RESTIC)),
    Target(
        "tree", "unchanged backup of the tree", 0.30, "times restic", _against("tree", "unchanged", RESTIC)
    ),
    Target(
        "changed", "backup after 1 % changed", 0.35, "times restic", _against("changed", "changed", RESTIC)
    ),
    Target("changed", "its new bytes", 1.0, "times restic's", _ratio(_added(OURS), _added(RESTIC))),
    Target("tree", "restore of the tree", 1.2, "times zstd + tar", _against("tree", "restore", TAR)),
    Target("tree", "restore of the tree", 0.40, "times restic", _against("tree", "restore", RESTIC)),
    Target("big", "restore of big", 0.6, "times zstd + tar", _against("big", "restore", TAR)),
    Target("single", "one small file out of big", 0.3, "s", _wall("single", "one file")),
    Target("single", "what is read for it", 8.0, "MiB", _read),
    Target(
        "series",
        "ten releases, stored",
        1.0,
        "times restic's",
        _ratio(_stored_last(OURS), _stored_last(RESTIC)),
    ),
    Target(
        "series", "ten releases, stored", 1.0, "times borg's", _ratio(_stored_last(OURS), _stored_last(BORG))
    ),
    Target("many", "largest process with the most files", 300.0, "MiB", _largest_process),
    Target("many", "time a file, most against fewest files", 1.0, "times", _each_file),
    Target("workers", "two workers on the tree", 1.8, "times one", _speed_up("tree backup"), floor=True),
    Target("workers", "two workers on big", 1.8, "times one", _speed_up("big backup"), floor=True),
    Target("tree", "KMS calls of an unchanged backup, keys in the cache", 0, "calls", _kms("unchanged")),
)


def table(samples: Sequence[Sample]) -> list[str]:
    """The targets as lines of Markdown; those of which something was not measured are left out."""
    rows = []
    for target in TARGETS:
        value = target.value(samples)
        if value is not None:
            limit = f"{'≥' if target.floor else '≤'} {target.limit:g} {target.unit}"
            rows.append(
                f"| {target.what} | {limit} | {value:.2f} | {'yes' if target.met(value) else '**no**'} |"
            )
    return ["| | target | measured | met |", "| --- | --- | --- | --- |", *rows] if rows else []
