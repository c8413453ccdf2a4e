"""One small file out of the big backup."""

from pathlib import Path

from bench.bench import Bench, Steps
from bench.cases.case import Case
from bench.data import SMALL_NAME
from bench.errors import BenchError
from bench.programs.tool import Tool

_TIMES = 3


def _run(bench: Bench) -> None:
    data = bench.material.big()
    wanted = data.folder / SMALL_NAME
    bench.note("single", f"{wanted.stat().st_size:,} bytes of {data.bytes:,}, {_TIMES} times in each round.")

    def act(tool: Tool, place: Path, number: int) -> Steps:
        del number
        tool.backup(data.folder, place)
        for _ in range(_TIMES):
            with bench.target() as target:
                result, found = tool.restore(data.folder, place, target, only=wanted)
                if not found.is_file() or found.read_bytes() != wanted.read_bytes():
                    raise BenchError(f"{SMALL_NAME} was not restored as it was")
            yield "one file", result

    # Three times in a round are enough rounds in quick and in full, and each needs a backup of everything.
    bench.alternate("single", bench.tools, act, rounds=1)


SINGLE = Case(
    "single",
    "The small file out of the backup of the big data. *read* is what Strongroom's stack read with read(2) and the "
    "like, of the repository and of everything else.",
    _run,
)
