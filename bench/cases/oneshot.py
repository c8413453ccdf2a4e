"""The backup with the embedded stack's start and stop in it."""

from bench.bench import Bench
from bench.cases.case import Case
from bench.cases.whole import three_steps
from bench.programs.strongroom import OneShot


def _run(bench: Bench) -> None:
    program = OneShot(bench.strongroom().installation)
    bench.alternate("one-shot", [program], three_steps(bench, bench.material.tree()))


ONE_SHOT = Case(
    "one-shot",
    "The tree again, with no stack up: each command starts one for itself and takes it down, which is in the time.",
    _run,
)
