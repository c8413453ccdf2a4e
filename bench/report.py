"""A measurement in Markdown, in JSON with every number, and in plots."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from bench import plots, tables, targets
from bench.measured import Failure, Sample, spreads

_QUICK = (
    "**Quick**: little data and few rounds; it shows that everything works, and nothing about speed. "
    "`make bench` has the sizes that the targets speak of."
)
_HOW = (
    "Times are wall seconds, in brackets the processor seconds of every process involved: for strongroom the command "
    "and its whole stack (broker, scheduler, key-broker, workers), which was up already unless a case says otherwise. "
    "*stored* is the size of the repository at the end, *KMS* the calls of each step. *largest process*: resident "
    "memory, shared pages included."
)


@dataclass(frozen=True)
class About:
    """A case, as the report names it; `cell` as in `bench.cases.case`."""

    name: str
    about: str
    cell: str
    notes: Sequence[str]


@dataclass(frozen=True)
class Report:
    """All of one measurement.

    Attributes:
        rounds: of the cases that are repeated.
        versions: of each program, None for one that is not installed.
        skipped: name of a case, and why it was left out.
    """

    machine: dict[str, str]
    file_system: str
    rounds: int
    quick: bool
    cases: Sequence[About]
    versions: dict[str, str | None]
    samples: Sequence[Sample]
    failures: Sequence[Failure]
    skipped: dict[str, str]


def write(report: Report, folder: Path, name: str) -> list[Path]:
    """Write `name`.md, `name`.json and the plots into `folder`; returns what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = plots.draw(report.samples)
    pictures = {f"{name}-{what}.svg": svg for what, svg in drawn.items()}
    numbers = asdict(report) | {"spreads": [asdict(each) for each in spreads(report.samples)]}
    texts = {
        f"{name}.md": markdown(report, list(pictures)),
        f"{name}.json": json.dumps(numbers, indent=1) + "\n",
        **pictures,
    }
    for file, text in texts.items():
        (folder / file).write_text(text)
    return [folder / file for file in texts]


def load(path: Path) -> Report:
    """Read what `write` wrote as JSON."""
    return msgspec.json.decode(path.read_bytes(), type=Report)


def where(report: Report) -> str:
    """Machine and rounds, in a sentence or two."""
    on = report.machine
    rounds = (
        "One round."
        if report.rounds == 1
        else f"Medians of {report.rounds} rounds, the programs taking turns."
    )
    return (
        f"{on['processor']}, {on['cores']} cores, {on['memory']}; Linux {on['kernel']}, Python {on['python']}; "
        f"commit {on['commit']}. Source, repository and target on {report.file_system}. {rounds}"
    )


def markdown(report: Report, pictures: Sequence[str] = ()) -> str:
    """The report for people."""
    lines = ["# Backup and restore, measured", "", where(report), "", _HOW]
    if report.quick:
        lines += ["", _QUICK]
    if not report.quick and (found := targets.table(report.samples)):
        lines += ["", "## Targets", "", *found]
    for picture in pictures:
        lines += ["", f"![{picture.removesuffix('.svg').replace('-', ' ')}]({picture})"]
    for case in report.cases:
        lines += ["", f"## {case.name}", "", " ".join([case.about, *case.notes])]
        if rows := tables.case_table(report.samples, case.name, case.cell):
            lines += ["", *rows]
        lines += _trouble(report, case.name)
    if found := tables.memory_table(report.samples):
        lines += [
            "",
            "## Memory",
            "",
            "Largest process of each role, in MiB; in brackets what no file backs.",
        ]
        lines += ["", *found]
    lines += ["", "## Programs", ""]
    lines += [f"- {name}: {version or 'not installed'}" for name, version in report.versions.items()]
    return "\n".join(lines) + "\n"


def _trouble(report: Report, case: str) -> list[str]:
    lines = [
        f"**Failed**{f', {each.tool}' if each.tool else ''}: {' '.join(each.message.split())[:300]}"
        for each in report.failures
        if each.case == case
    ]
    if case in report.skipped:
        lines.append(f"**Left out**: {' '.join(report.skipped[case].split())[:300]}")
    return [part for line in lines for part in ("", line)]
