"""What the machine can do at most with the bytes of the tree and with random ones."""

import sys

import msgspec

from bench.bench import Bench
from bench.cases.case import Case
from bench.limits import Found
from bench.measured import Sample
from bench.processes import run


def _run(bench: Bench) -> None:
    tree = bench.material.tree()
    for number in range(1, bench.rounds + 1):
        with bench.place("limits") as folder:
            folder.mkdir()
            size = ["--mb", str(bench.material.sizes.probe_mb), "--dir", str(folder), "--json"]
            # In a process of its own: what this one holds in memory would count as that of each program after it.
            done = run([sys.executable, "-m", "bench.limits", str(tree.folder), *size])
        for found in msgspec.json.decode(done.output, type=list[Found]):
            bench.record(Sample("limits", found.what, found.of, number, found.result))


LIMITS = Case(
    "limits",
    "One core, one step alone, in pieces of 1 MiB: what no program that does the same steps can beat on a core.",
    _run,
    cell="rate",
    room=1.5,
)
