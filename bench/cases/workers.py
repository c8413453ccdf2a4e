"""Two worker processes against one."""

from pathlib import Path

from bench.bench import Bench, Steps
from bench.cases.case import Case
from bench.data import Dataset
from bench.programs.strongroom import Strongroom
from bench.programs.tool import Tool

NUMBERS = (1, 2)


def _run(bench: Bench) -> None:
    installation = bench.strongroom().installation
    programs = [Strongroom(installation, number) for number in NUMBERS]
    for data in (bench.material.tree(), bench.material.big()):
        _compare(bench, data, programs)


def _compare(bench: Bench, data: Dataset, programs: list[Strongroom]) -> None:
    def act(tool: Tool, place: Path, number: int) -> Steps:
        del number
        yield f"{data.name} backup", tool.backup(data.folder, place)
        with bench.target() as target:
            yield f"{data.name} restore", tool.restore(data.folder, place, target)[0]

    # Both have one key, and so one place a round, which is gone before the other's turn; the vault's name is not.
    for each in programs:
        each.key = each.name.replace(", ", "-").replace(" ", "-") + f"-{data.name}"
    bench.alternate("workers", programs, act)


WORKERS = Case(
    "workers",
    "One and two processes of the backup and of the restore role; the command of a restore opens parcels in as many "
    "processes as there are processors in both.",
    _run,
)
