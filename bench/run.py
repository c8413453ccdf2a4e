"""Measure Strongroom beside `tar | zstd -1 -T2`, restic and borg, and write tables and plots: `make bench`.

    python -m bench.run [--quick] [--cases tree,big,...] [--rounds N] [--tools strongroom,tar,...] [--dir FOLDER] ...

Source, repository and target lie below --dir, by default on the tmpfs that every Linux has at /dev/shm: disks are not
what is compared. The full measurement needs about 10 GB there. A case that fails is reported, and the others go on;
the exit code is then 1.
"""

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench import report
from bench.bench import Bench
from bench.cases.all import ALL, choose
from bench.cases.case import Case
from bench.data import python_folders
from bench.errors import BenchError
from bench.machine import file_system, free_bytes, machine
from bench.material import Material
from bench.programs.borg import Borg
from bench.programs.kopia import Kopia
from bench.programs.restic import Restic
from bench.programs.rustic import Rustic
from bench.programs.strongroom import Installation, Strongroom
from bench.programs.tar import TarZstd
from bench.programs.tool import Tool
from bench.releases import Offline
from bench.sizes import FULL, MB, QUICK, Sizes

RESULTS = Path(__file__).parent / "results"
FULL_ROUNDS, QUICK_ROUNDS = 3, 1
_QUICK_ROOM = 0.1
"""What a case needs in quick, as a share of what it needs in full."""
_GIB = 1 << 30


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code: 0, or 1 if anything could not be measured."""
    options = _options(arguments)
    try:
        cases = choose(options.cases)
        with tempfile.TemporaryDirectory(prefix="strongroom-bench-", dir=options.dir) as folder:
            return _run(options, cases, Path(folder))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.run", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--quick", action="store_true", help="little data: shows that all works, not how fast"
    )
    names = ",".join(case.name for case in ALL)
    parser.add_argument("--cases", default="all", metavar="A,B", help=f"of {names}; default: all")
    parser.add_argument("--rounds", type=int, metavar="N", help="default: 3, in quick 1")
    parser.add_argument(
        "--tools", metavar="A,B", help="of strongroom,tar,restic,borg,kopia,rustic; default: all"
    )
    parser.add_argument("--files", type=int, metavar="N", help="files in the tree, at least")
    parser.add_argument("--tree-mb", type=int, metavar="MB", help="size of the tree, at least")
    parser.add_argument("--random-mb", type=int, metavar="MB", help="size of the big random file")
    parser.add_argument("--many", type=int, metavar="N", help="files of the larger synthetic tree")
    parser.add_argument("--few", type=int, metavar="N", help="files of the smaller one")
    parser.add_argument("--releases", type=int, metavar="N", help="releases in the series")
    parser.add_argument(
        "--source", action="append", type=Path, metavar="FOLDER", help="take the tree's files here"
    )
    parser.add_argument("--dir", type=Path, default=Path("/dev/shm"), help="where all of it lies")  # noqa: S108
    parser.add_argument(
        "--downloads",
        type=Path,
        metavar="FOLDER",
        help="keep what is fetched there; default: below --dir, removed",
    )
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER", help="where the tables go")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (QUICK_ROUNDS if options.quick else FULL_ROUNDS)
    if options.rounds < 1:
        parser.error("--rounds is at least 1")
    return options


def _run(options: argparse.Namespace, cases: Sequence[Case], folder: Path) -> int:
    installation = Installation(folder / "home")
    tools = _tools(options.tools, installation)
    versions = {tool.name: tool.version() for tool in tools}
    present = [tool for tool in tools if versions[tool.name] is not None]
    bench = Bench(
        tools=present,
        installation=installation if any(isinstance(tool, Strongroom) for tool in present) else None,
        material=Material(folder / "data", _sizes(options), options.source or python_folders(), _say),
        room=folder / "room",
        downloads=options.downloads or folder / "downloads",
        rounds=options.rounds,
        quick=options.quick,
        say=_say,
    )
    bench.room.mkdir()
    skipped: dict[str, str] = {}
    try:
        for case in cases:
            _measure(bench, case, skipped)
    finally:
        installation.down()
    found = report.Report(
        machine=machine(),
        file_system=file_system(folder),
        rounds=options.rounds,
        quick=options.quick,
        cases=[
            report.About(case.name, case.about, case.cell, bench.notes.get(case.name, [])) for case in cases
        ],
        versions=versions,
        samples=bench.samples,
        failures=bench.failures,
        skipped=skipped,
    )
    written = report.write(found, options.results, "quick" if options.quick else "full")
    print(report.markdown(found))
    _say(f"written: {', '.join(path.name for path in written)} in {options.results.name}/")
    return 1 if bench.failures else 0


def _measure(bench: Bench, case: Case, skipped: dict[str, str]) -> None:
    """Measure one case; whatever goes wrong is written down, and the room is empty afterwards."""
    try:
        needed = (case.room + _unmade(bench)) * (_QUICK_ROOM if bench.quick else 1)
        free = free_bytes(bench.room) / _GIB
        if free < needed:
            raise BenchError(f"needs {needed:.1f} GiB, {free:.1f} are free; name a roomier --dir")
        case.run(bench)
    except Offline as error:
        if bench.quick and case.offline_is_fine:
            skipped[case.name] = str(error)
            _say(f"{case.name}: left out: {error}")
        else:
            bench.fail(case.name, "", error)
    except (BenchError, OSError) as error:
        bench.fail(case.name, "", error)
    for left in bench.room.iterdir():
        shutil.rmtree(left, ignore_errors=True)


def _unmade(bench: Bench) -> float:
    """Gibibytes that tree and big data will take when they are made."""
    return 0.0 if len(bench.material.made()) > 1 else 3.2


def _tools(names: str | None, installation: Installation) -> list[Tool]:
    tools: tuple[Tool, ...] = (
        Strongroom(installation),
        TarZstd(),
        Restic(),
        Borg(),
        Kopia(),
        Rustic(),
    )
    known = {tool.key: tool for tool in tools}
    if names is None:
        return list(tools)
    wanted = [name.strip() for name in names.split(",")]
    if unknown := [name for name in wanted if name not in known]:
        raise BenchError(f"no such tool: {unknown[0]}; there are {', '.join(known)}")
    return [known[name] for name in wanted]


def _sizes(options: argparse.Namespace) -> Sizes:
    sizes = QUICK if options.quick else FULL
    return replace(
        sizes,
        files=options.files or sizes.files,
        tree_bytes=(options.tree_mb or 0) * MB or sizes.tree_bytes,
        random=(options.random_mb or 0) << 20 or sizes.random,
        many=options.many or sizes.many,
        few=options.few or sizes.few,
        releases=options.releases or sizes.releases,
    )


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    # Whoever stops the measurement gets the room back, too: SIGTERM unwinds as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(main())
