"""Backup, unchanged backup and restore of the tree and of the big files."""

from pathlib import Path

from bench.bench import Act, Bench, Steps
from bench.cases.case import Case
from bench.data import Dataset, compare
from bench.material import describe
from bench.programs.tool import Tool


def _tree(bench: Bench) -> None:
    _whole(bench, bench.material.tree())


def _big(bench: Bench) -> None:
    _whole(bench, bench.material.big())


def _whole(bench: Bench, data: Dataset) -> None:
    bench.note(data.name, f"{describe(data)}.")
    bench.alternate(data.name, bench.tools, three_steps(bench, data))


def three_steps(bench: Bench, data: Dataset) -> Act:
    """Backup, unchanged backup, restore; what the first round restores is compared, byte for byte."""

    def act(tool: Tool, place: Path, number: int) -> Steps:
        yield "backup", tool.backup(data.folder, place)
        if tool.increments:
            yield "unchanged", tool.backup(data.folder, place)
        with bench.target() as target:
            result, folder = tool.restore(data.folder, place, target)
            if number == 1:
                compare(data.folder, folder)
        yield "restore", result

    return act


TREE = Case(
    "tree",
    "Many small real files; *unchanged* is a second backup of the same data, *restore* goes into an empty folder and "
    "is compared with the original, byte for byte, in the first round.",
    _tree,
)
BIG = Case("big", "The same with a file of random bytes, a tar of the tree, and one small file.", _big)
