"""Put the latest full measurement into the README: `make bench-readme`."""

import sys
from pathlib import Path

from bench import report, tables, targets
from bench.errors import BenchError
from bench.run import RESULTS

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- written by make bench-readme -->", "<!-- until here -->"
_SHOWN = ("tree", "big", "changed", "single")
_ALT = {
    "time": "Wall time of each step beside the others'",
    "series": "Stored bytes after each of ten releases",
}


def section(found: report.Report, pictures: dict[str, str]) -> str:
    """What stands between the marks: where it was measured, tables, targets, plots.

    Args:
        found: the measurement.
        pictures: path of each plot, by its name.
    """
    lines = [report.where(found), ""]
    lines += ["Wall seconds, in brackets the processor seconds of all processes; KMS calls of each step.", ""]
    for case in found.cases:
        if case.name in _SHOWN and (rows := tables.case_table(found.samples, case.name, case.cell)):
            lines += [f"**{case.name}**: {' '.join(case.notes) or case.about}", "", *rows, ""]
    if rows := targets.table(found.samples):
        lines += ["Against the targets that this project set itself:", "", *rows, ""]
    lines += [f"![{_ALT.get(name, name)}]({path})" for name, path in pictures.items()]
    return "\n".join(lines).strip()


def rewritten(readme: str, text: str) -> str:
    """The README with `text` between the marks.

    Raises:
        BenchError: the marks are not there, once each and in this order.
    """
    head, begin, rest = readme.partition(BEGIN)
    _old, end, tail = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in tail:
        raise BenchError(f"README.md must have {BEGIN!r} and {END!r} once each")
    return f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}"


def main() -> int:
    """Entry point."""
    try:
        found = report.load(RESULTS / "full.json")
        drawn = sorted(RESULTS.glob("full-*.svg"), reverse=True)
        pictures = {
            path.stem.removeprefix("full-"): f"{RESULTS.parent.name}/{RESULTS.name}/{path.name}"
            for path in drawn
        }
        README.write_text(rewritten(README.read_text(), section(found, pictures)))
    except (BenchError, OSError, ValueError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
