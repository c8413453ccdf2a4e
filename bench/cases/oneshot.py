"""The backup with the embedded stack's start and stop in it."""

from pathlib import Path

from bench.bench import Bench, Steps
from bench.cases.case import Case
from bench.data import compare
from bench.programs.strongroom import OneShot
from bench.programs.tool import Tool


def _run(bench: Bench) -> None:
    data = bench.material.tree()
    program = OneShot(bench.strongroom().installation)

    def act(tool: Tool, place: Path, number: int) -> Steps:
        yield "backup", tool.backup(data.folder, place)
        yield "unchanged", tool.backup(data.folder, place)
        with bench.target() as target:
            result, folder = tool.restore(data.folder, place, target)
            if number == 1:
                compare(data.folder, folder)
        yield "restore", result

    bench.alternate("one-shot", [program], act)


ONE_SHOT = Case(
    "one-shot",
    "The tree again, with no stack up: each command starts one for itself and takes it down, which is in the time.",
    _run,
)
