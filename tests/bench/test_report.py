"""Medians and spread, tables, plots, targets, and what goes into the README."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench import charts, plots, readme, report, tables, targets
from bench.cases.startup import boot_times
from bench.errors import BenchError
from bench.machine import file_system, free_bytes, machine
from bench.measured import Failure, Result, Sample, spreads

MIB = 1 << 20
SVG = "{http://www.w3.org/2000/svg}"


def samples(case: str, step: str, **walls: float) -> list[Sample]:
    """One round; a program's name is written with underscores."""
    names = {"ours": targets.OURS, "tar": targets.TAR, "restic": targets.RESTIC, "borg": targets.BORG}
    return [
        Sample(case, names[tool], step, 1, Result(wall, 2 * wall, 5_000_000)) for tool, wall in walls.items()
    ]


MEASURED = [
    *samples("tree", "backup", ours=1.0, tar=0.5, restic=4.0, borg=6.0),
    *samples("tree", "unchanged", ours=0.5, restic=2.0, borg=3.0),
    *samples("series", "4.2", ours=1.0, restic=1.0, borg=1.0),
    *samples("series", "4.2.1", ours=1.0, restic=1.0, borg=1.0),
]


def found(measured: list[Sample] = MEASURED, *, quick: bool = False) -> report.Report:
    return report.Report(
        machine=machine(),
        file_system="tmpfs",
        rounds=3,
        quick=quick,
        cases=[
            report.About("tree", "Many files.", "time", ["7 files."]),
            report.About("series", "Releases.", "stored", []),
            report.About("big", "Few files.", "time", []),
        ],
        versions={targets.OURS: "1", "kopia": None},
        samples=measured,
        failures=[Failure("big", "restic", "it\nbroke")],
        skipped={"series": "no network"},
    )


def test_the_spread_is_of_all_rounds() -> None:
    rounds = [
        Sample("c", "t", "s", n, Result(wall, cpu)) for n, (wall, cpu) in enumerate([(1, 9), (5, 7), (2, 8)])
    ]
    (spread,) = spreads(rounds)
    assert (spread.rounds, spread.wall_min, spread.wall_median, spread.wall_max) == (3, 1, 2, 5)
    assert spread.cpu_median == 8


def test_a_table_has_medians_and_only_columns_that_something_is_in() -> None:
    rows = tables.case_table(MEASURED, "tree", "time")
    assert rows[0] == "|  | backup | unchanged | stored |"
    assert rows[2] == "| strongroom | 1.00 s (2.0 s) | 0.50 s (1.0 s) | 5.0 MB |"
    assert rows[3] == "| tar + zstd -1 -T2 | 0.50 s (1.0 s) | - | 5.0 MB |"
    assert len({row.count("|") for row in rows}) == 1
    assert tables.case_table(MEASURED, "many", "time") == []


@pytest.mark.parametrize(
    ("cell", "result", "text"),
    [
        ("stored", Result(1, 1, stored=2_500_000), "2.5 MB"),
        ("each", Result(2, 1, files=1_000_000), "2.00 s (1.0 s), 2.0 µs a file"),
        ("rate", Result(0.5, 1, handled=100_000_000), "200 MB/s"),
        ("rate", Result(0.5, 1, files=100_000), "5.0 µs a file"),
        ("seconds", Result(0.1234, 0), "0.123 s"),
    ],
)
def test_cells_show_what_the_case_is_about(cell: str, result: Result, text: str) -> None:
    assert f"| {text} |" in tables.case_table([Sample("c", "t", "s", 1, result)], "c", cell)[2]


def test_memory_is_shown_for_each_role() -> None:
    peak = {"backup": 120 * MIB, "command": 60 * MIB}
    mine = Sample("tree", "strongroom", "backup", 1, Result(1, 1, peak=peak, anonymous={"backup": 90 * MIB}))
    other = Sample("tree", "restic", "backup", 1, Result(1, 1, peak={"command": 200 * MIB}))
    rows = tables.memory_table([mine, other])
    assert rows[2:] == [
        "| strongroom: backup | 120 (90) |",
        "| strongroom: command | 60 |",
        "| restic | 200 |",
    ]
    assert tables.memory_table(MEASURED) == []


def test_targets_say_what_was_reached_and_are_silent_about_what_was_not_measured() -> None:
    rows = targets.table(MEASURED)
    assert "| backup of the tree | ≤ 1 times tar + zstd | 2.00 | **no** |" in rows
    assert "| backup of the tree | ≤ 0.3 times restic | 0.25 | yes |" in rows
    assert "| ten releases, stored | ≤ 1 times borg's | 1.00 | yes |" in rows
    assert not any("big" in row for row in rows)
    assert targets.table([]) == []


def test_more_workers_have_to_be_faster_and_more_files_not_slower() -> None:
    def worker(count: str, wall: float) -> Sample:
        return Sample("workers", f"strongroom, {count}", "tree backup", 1, Result(wall, 1))

    def many(files: int, wall: float) -> Sample:
        result = Result(wall, 1, files=files, peak={"backup": 301 * MIB})
        return Sample("many", f"strongroom, {files:,} files", "backup", 1, result)

    rows = targets.table([worker("1 worker", 3.0), worker("2 workers", 2.0), many(100, 1.0), many(1000, 9.0)])
    assert "| two workers on the tree | ≥ 1.8 times one | 1.50 | **no** |" in rows
    assert "| time a file, most against fewest files | ≤ 1 times | 0.90 | yes |" in rows
    assert "| largest process with the most files | ≤ 300 MiB | 301.00 | **no** |" in rows


def test_plots_are_well_formed_and_have_a_mark_for_each_value() -> None:
    drawn = plots.draw(MEASURED)
    assert set(drawn) == {"time", "series"}
    time = ET.fromstring(drawn["time"])
    # Background, legend of four programs, and a bar for each value.
    assert len(time.findall(f"{SVG}rect")) == 1 + 4 + 4 + 3
    series = ET.fromstring(drawn["series"])
    assert len(series.findall(f"{SVG}polyline")) == 3
    assert len(series.findall(f"{SVG}circle")) == 6
    assert plots.draw([]) == {}


def test_names_in_plots_cannot_break_them() -> None:
    for svg in (
        charts.bars("<&>", {"a<b": {'"&': 1.0}}, "s"),
        charts.lines("<&>", ["1<2"], {'"&': [1.0]}, "MB"),
        charts.bars("", {}, ""),
        charts.lines("", [], {}, ""),
    ):
        ET.fromstring(svg)


def test_what_is_written_can_be_read_again_and_names_no_path(tmp_path: Path) -> None:
    made = found()
    written = report.write(made, tmp_path / "results", "full")
    assert {path.name for path in written} == {"full.md", "full.json", "full-time.svg", "full-series.svg"}
    assert report.load(tmp_path / "results" / "full.json") == made
    assert not any(str(tmp_path) in path.read_text() for path in written)


def test_the_report_tells_of_failures_and_of_what_is_missing() -> None:
    text = report.markdown(found())
    assert "**Failed**, restic: it broke" in text
    assert "**Left out**: no network" in text
    assert "- kopia: not installed" in text
    assert "## Targets" in text
    quick = report.markdown(found(quick=True))
    assert "**Quick**" in quick
    assert "## Targets" not in quick


def test_the_readme_gets_tables_and_plots_between_its_marks() -> None:
    text = readme.section(found(), {"time": "bench/results/full-time.svg"})
    assert "**tree**: 7 files." in text
    assert "](bench/results/full-time.svg)" in text
    page = f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n"
    new = readme.rewritten(page, text)
    assert new.startswith("before\n")
    assert new.endswith("\nafter\n")
    assert "old" not in new
    assert readme.rewritten(new, text) == new
    for broken in ("none", page + page, f"{readme.END}\n{readme.BEGIN}"):
        with pytest.raises(BenchError, match="once each"):
            readme.rewritten(broken, text)


def test_the_readme_has_its_marks() -> None:
    assert readme.rewritten(readme.README.read_text(), "x")


def test_boot_times_are_read_from_the_stacks_log() -> None:
    log = [
        "2026-01-01 00:00:00,000 INFO 7 stack: beat serves after 0.05 s",
        "2026-01-01 00:00:00,000 INFO 7 stack: key-broker serves after 1.25 s",
        "2026-01-01 00:00:00,000 INFO 7 stack: ready in 1.57 s: imports 0.29, waiting for the server 0.03, roles 1.25",
        "2026-01-01 00:00:00,000 INFO 7 stack: asked to stop",
    ]
    assert boot_times(log) == {
        "role beat, fork to ready": 0.05,
        "role key-broker, fork to ready": 1.25,
        "the stack until it serves": 1.57,
        "of that, imports": 0.29,
    }


def test_the_machine_is_described_without_names(tmp_path: Path) -> None:
    assert set(machine()) == {"processor", "cores", "memory", "kernel", "python", "commit"}
    assert file_system(tmp_path)
    assert free_bytes(tmp_path) > 0
