"""Measure Strongroom beside `tar | zstd -1 -T2` and restic, and write the table: `make bench`, `make bench-quick`.

    python -m bench.run [--quick] [--rounds N] [--tools strongroom,tar,restic] [--dir FOLDER] ...

Source, repository and target lie below --dir, by default on the tmpfs that every Linux has at /dev/shm: disks are not
what is compared. The full measurement needs about 8 GB there.
"""

import argparse
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from bench import data, report
from bench.errors import BenchError
from bench.rounds import measure
from bench.strongroom import Strongroom
from bench.tools import Borg, Restic, TarZstd, Tool

RESULTS = Path(__file__).parent / "results"
ROOM = {True: 1 << 30, False: 9 << 30}
"""Free bytes wanted below --dir, quick or not."""


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    options = _options(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="strongroom-bench-", dir=options.dir) as folder:
            _run(options, Path(folder))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.run", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--quick", action="store_true", help="little data: shows that all works, not how fast"
    )
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--tools", default="strongroom,tar,restic", help="of strongroom, tar, restic, borg")
    parser.add_argument("--files", type=int, metavar="N", help="files in the tree, at least")
    parser.add_argument("--tree-mb", type=int, metavar="MB", help="size of the tree, at least")
    parser.add_argument("--random-mb", type=int, metavar="MB", help="size of the big random file")
    parser.add_argument(
        "--source", action="append", type=Path, metavar="FOLDER", help="take the tree's files here"
    )
    parser.add_argument("--dir", type=Path, default=Path("/dev/shm"), help="where all of it lies")  # noqa: S108
    parser.add_argument(
        "--results", type=Path, default=RESULTS, metavar="FOLDER", help="where the table goes"
    )
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error("--rounds is at least 1")
    return options


def _run(options: argparse.Namespace, folder: Path) -> None:
    if shutil.disk_usage(folder).free < ROOM[options.quick]:
        raise BenchError(f"{ROOM[options.quick] >> 30} GiB of free space are needed; name a roomier --dir")
    strongroom = Strongroom(folder / "home")
    tools = _tools(options.tools, strongroom)
    versions = {tool.name: tool.version() for tool in tools}
    present = [tool for tool in tools if versions[tool.name] is not None]
    datasets = _datasets(options, folder / "data")
    room = folder / "room"
    room.mkdir()
    try:
        if strongroom in present:
            strongroom.start()
        samples = measure(present, datasets, options.rounds, room, _say)
    finally:
        strongroom.stop()
    stack = (
        {"start": strongroom.start_seconds, "stop": strongroom.stop_seconds} if strongroom in present else {}
    )
    found = report.Report(
        machine=report.machine(),
        file_system=report.file_system(folder),
        rounds=options.rounds,
        datasets=datasets,
        versions=versions,
        stack=stack,
        samples=samples,
    )
    written = report.write(found, options.results, "quick" if options.quick else "full")
    print(report.markdown(found))
    _say(f"written: {', '.join(path.name for path in written)} in {options.results.name}/")


def _tools(names: str, strongroom: Strongroom) -> list[Tool]:
    known: dict[str, Tool] = {"strongroom": strongroom, "tar": TarZstd(), "restic": Restic(), "borg": Borg()}
    wanted = [name.strip() for name in names.split(",")]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise BenchError(f"no such tool: {unknown[0]}; there are {', '.join(known)}")
    return [known[name] for name in wanted]


def _datasets(options: argparse.Namespace, folder: Path) -> list[data.Dataset]:
    sizes = data.QUICK if options.quick else data.FULL
    sizes = replace(
        sizes,
        files=options.files or sizes.files,
        tree_bytes=(options.tree_mb or 0) * report.MB or sizes.tree_bytes,
        random=(options.random_mb or 0) << 20 or sizes.random,
    )
    tree = data.make_tree(folder / "tree", options.source or data.python_folders(), sizes)
    _say(f"tree: {tree.files:,} files ({tree.salted:,} altered copies), {tree.bytes / report.MB:,.0f} MB")
    big = data.make_big(folder / "big", tree.folder, sizes)
    _say(f"big: {big.bytes / report.MB:,.0f} MB")
    return [tree, big]


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
