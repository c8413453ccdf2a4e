"""Runs all tests, two parts at a time: one waits for something while the other computes.

Whole lines are shown as they come. What a part says of its failures comes in one piece when the part has ended, and
once more, in short, at the very end.
"""

import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
AT_ONCE = 2
# The longest first, so that both processes end at about the same time. What is not named here is the last part.
NAMED = (
    ("tests/e2e",),
    ("tests/faults",),
    ("tests/workers",),
    ("tests/repository", "tests/sources"),
    ("tests/client",),
    ("tests/deploy",),
)
REST = ("tests", *(f"--ignore={folder}" for part in NAMED for folder in part))
WHY_LINES = 3
LAST_LINES = 15


@dataclass(frozen=True, slots=True)
class Ended:
    """A part that has run: pytest's exit code, its last lines, and what failed with the first lines of why."""

    part: tuple[str, ...]
    code: int
    seconds: float
    last: list[str]
    failed: list[str]


def main(parts: tuple[tuple[str, ...], ...] = (*NAMED, REST)) -> int:
    """Run every part, each pytest's arguments; returns 0 if all of them passed."""
    showing = threading.Lock()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(AT_ONCE) as pool:
        runs = [
            pool.submit(_run, part, Path(folder) / f"{number}.xml", showing)
            for number, part in enumerate(parts)
        ]
        try:
            ended = [run.result() for run in runs]
        except KeyboardInterrupt:  # which those that run have got from the terminal, too
            pool.shutdown(cancel_futures=True)
            raise
    _show(showing, _summary(ended))
    return int(any(part.code for part in ended))


def _run(part: tuple[str, ...], report: Path, showing: threading.Lock) -> Ended:
    began = time.monotonic()
    options = ["-p", "no:cacheprovider", f"--junitxml={report}", "--override-ini=junit_family=xunit1"]
    said: list[str] = []
    held: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, *part],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line.rstrip("\n"))
            if held or (line.startswith("=====") and " test session starts " not in line):
                held.append(said[-1])
            else:
                _show(showing, said[-1:])
    _show(showing, held)
    return Ended(part, process.returncode, time.monotonic() - began, said[-LAST_LINES:], _failed(report))


def _show(showing: threading.Lock, lines: list[str]) -> None:
    with showing:
        sys.stdout.writelines(f"{line}\n" for line in lines)
        sys.stdout.flush()


def _failed(report: Path) -> list[str]:
    """What failed according to pytest's report, which is missing when pytest itself broke off."""
    if not report.exists():
        return []
    found = []
    for case in ET.parse(report).iter("testcase"):
        for outcome in (*case.iterfind("failure"), *case.iterfind("error")):
            why = [line for line in (outcome.text or "").splitlines() if line.startswith("E  ")]
            found += [f"{case.get('file')}::{case.get('name')}", *why[:WHY_LINES]]
    return found


def _summary(ended: list[Ended]) -> list[str]:
    lines = ["", f"{' all parts ':=^80}"]
    for part in sorted(ended, key=lambda each: each.code != 0):
        verdict = f"FAILED ({part.code})" if part.code else "passed"
        lines.append(f"{verdict} in {part.seconds:.0f} s: {' '.join(part.part)}")
        if part.code:
            # A part can fail without a failed test: a warning at the very end, a crash. Its last words tell then.
            lines += part.failed or part.last
    return lines


if __name__ == "__main__":
    sys.exit(main())
