"""Backup, unchanged backup and restore of the tree and of the big files."""

from pathlib import Path

from bench.bench import Bench, Steps
from bench.cases.case import Case
from bench.data import Dataset, compare
from bench.material import describe
from bench.programs.tool import Tool


def _tree(bench: Bench) -> None:
    _whole(bench, bench.material.tree())


def _big(bench: Bench) -> None:
    _whole(bench, bench.material.big())


def _whole(bench: Bench, data: Dataset) -> None:
    """All three steps; the first round's restores are compared with the original, byte for byte."""
    bench.note(data.name, f"{describe(data)}.")

    def act(tool: Tool, place: Path, number: int) -> Steps:
        yield "backup", tool.backup(data.folder, place)
        if tool.increments:
            yield "unchanged", tool.backup(data.folder, place)
        with bench.target() as target:
            result, folder = tool.restore(data.folder, place, target)
            if number == 1:
                compare(data.folder, folder)
        yield "restore", result

    bench.alternate(data.name, bench.tools, act)


TREE = Case(
    "tree",
    "Many small real files; *unchanged* is a second backup of the same data, *restore* goes into an empty folder and "
    "is compared with the original, byte for byte, in the first round.",
    _tree,
)
BIG = Case("big", "The same with a file of random bytes, a tar of the tree, and one small file.", _big)
