"""The table: medians of the rounds in Markdown, every number in JSON, and what it was measured on."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from bench.data import Dataset
from bench.rounds import Sample
from bench.tools import Result

MB = 1_000_000


@dataclass(frozen=True)
class Report:
    """All of one measurement.

    Attributes:
        versions: of each program, None for one that is not installed.
        stack: seconds to start and to stop Strongroom's stack; empty when it was not measured.
    """

    machine: dict[str, str]
    file_system: str
    rounds: int
    datasets: Sequence[Dataset]
    versions: dict[str, str | None]
    stack: dict[str, float]
    samples: Sequence[Sample]


def machine() -> dict[str, str]:
    """Processor, cores, memory, kernel, Python and the commit that is measured; no names and no paths."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {
        "processor": model,
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory:.0f} GiB",
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "commit": _commit(),
    }


def file_system(folder: Path) -> str:
    """Type of the file system that holds `folder`, from /proc/mounts."""
    mounts = (line.split()[1:3] for line in _lines("/proc/mounts"))
    best = max(
        ((point, kind) for point, kind in mounts if folder.resolve().is_relative_to(point)),
        key=lambda mount: len(mount[0]),
    )
    return best[1]


def write(report: Report, folder: Path, name: str) -> list[Path]:
    """Write `name`.md and `name`.json into `folder`; returns both."""
    folder.mkdir(parents=True, exist_ok=True)
    table, numbers = folder / f"{name}.md", folder / f"{name}.json"
    table.write_text(markdown(report))
    numbers.write_text(json.dumps(_plain(report), indent=1) + "\n")
    return [table, numbers]


def markdown(report: Report) -> str:
    """The report for people."""
    on = report.machine
    where = (
        f"{on['processor']}, {on['cores']} cores, {on['memory']}; Linux {on['kernel']}, Python {on['python']}; "
        f"commit {on['commit']}. Source, repository and target on {report.file_system}. "
        + (
            "One round."
            if report.rounds == 1
            else f"Medians of {report.rounds} rounds, the programs taking turns."
        )
    )
    how = (
        "Seconds are wall time, in brackets the processor time of every process involved: for strongroom the "
        "command and all of its stack (broker, scheduler, key-broker, workers), which was up already. "
        "*unchanged* is a second backup of the same data."
    )
    lines = ["# Backup and restore, measured", "", where, "", how]
    for data in report.datasets:
        lines += _section(report, data)
    lines += ["", *(f"- {name}: {version or 'not installed'}" for name, version in report.versions.items())]
    if report.stack:
        lines.append(
            f"- strongroom's stack: {report.stack['start']:.2f} s to start, {report.stack['stop']:.2f} s to stop"
        )
    return "\n".join(lines) + "\n"


def _section(report: Report, data: Dataset) -> list[str]:
    salted = f", of them {data.salted:,} altered copies" if data.salted else ""
    rows = [
        "",
        f"## {data.name}: {data.files:,} files{salted}, {data.bytes / MB:,.0f} MB",
        "",
        "| | backup | unchanged | restore | stored | KMS calls |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, version in report.versions.items():
        if version is None:
            rows.append(f"| {name} | not installed | | | | |")
            continue
        samples = [sample for sample in report.samples if (sample.tool, sample.data) == (name, data.name)]
        again = [sample.again for sample in samples if sample.again]
        backups, restores = [s.backup for s in samples], [s.restore for s in samples]
        stored = median(result.stored or 0 for result in backups) / MB
        calls = "-"
        if backups[0].kms_calls is not None:
            calls = " / ".join(
                f"{median(r.kms_calls or 0 for r in part):.0f}" for part in (backups, again, restores)
            )
        rows.append(
            f"| {name} | {_seconds(backups)} | {_seconds(again) if again else 'all again'} "
            f"| {_seconds(restores)} | {stored:,.0f} MB | {calls} |"
        )
    return rows


def _seconds(results: Sequence[Result]) -> str:
    wall, cpu = (median(values) for values in zip(*((r.wall, r.cpu) for r in results), strict=True))
    return f"{wall:.2f} s ({cpu:.1f} s)"


def _plain(report: Report) -> dict[str, object]:
    """The report without the folders that it was measured in."""
    plain = asdict(report)
    for data in plain["datasets"]:
        del data["folder"]
    return plain


def _commit() -> str:
    """Short hash of the measured commit, with "+" for a tree that differs from it."""
    here = Path(__file__).parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty=+", "--exclude=*"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "none"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()
