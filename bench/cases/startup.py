"""How long the command takes to come up, the stack to serve, each role to be ready, and all of it to end."""

import re
import sys
from collections.abc import Sequence

from bench.bench import Bench
from bench.cases.case import Case
from bench.errors import BenchError
from bench.measured import Result, Sample
from bench.processes import run
from bench.programs.strongroom import Installation

_SERVES = re.compile(r"stack: (\S+) serves after (\d+\.\d+) s$")
_READY = re.compile(r"stack: ready in (\d+\.\d+) s: imports (\d+\.\d+)")
IMPORTS = ("client.main", "client.commands.backup", "client.commands.restore")


def _run(bench: Bench) -> None:
    installation = bench.strongroom().installation
    installation.ensure_made()
    for number in range(1, bench.rounds + 1):
        found = {"strongroom --version": _timed(installation, "--version"), **_stack(installation)}
        for module in IMPORTS:
            found[f"import {module}"] = Result(import_seconds(module), 0.0)
        for what, result in found.items():
            bench.record(Sample("start-up", what, "seconds", number, result))


def _timed(installation: Installation, *arguments: str) -> Result:
    done = installation.command(*arguments)
    return Result(done.wall, done.cpu)


def _stack(installation: Installation) -> dict[str, Result]:
    """Start the stack, ask it something, and take it down."""
    installation.down()
    log = installation.home.logs / "stack.log"
    told = log.stat().st_size if log.exists() else 0
    up = installation.ensure_up({})
    assert up is not None
    asked = _timed(installation, "status")
    down = installation.down()
    if down is None:
        raise BenchError("the stack went away by itself")
    lines = log.read_bytes()[told:].decode(errors="replace").splitlines()
    return {
        "strongroom up": Result(up.wall, up.cpu),
        **{what: Result(seconds, 0.0) for what, seconds in boot_times(lines).items()},
        "strongroom status": asked,
        "strongroom down": Result(down.wall, down.cpu),
    }


def boot_times(lines: Sequence[str]) -> dict[str, float]:
    """Seconds of the parts of a start, from the supervisor's log: all of it, imports, each role from fork to ready."""
    found = {}
    for line in lines:
        if role := _SERVES.search(line):
            found[f"role {role[1]}, fork to ready"] = float(role[2])
        elif ready := _READY.search(line):
            found["the stack until it serves"] = float(ready[1])
            found["of that, imports"] = float(ready[2])
    return found


def import_seconds(module: str) -> float:
    """Seconds that importing `module` takes in a fresh interpreter, by its own clock.

    Raises:
        BenchError: it cannot be imported.
    """
    code = f"import time; begun = time.perf_counter(); import {module}; print(time.perf_counter() - begun)"
    return float(run([sys.executable, "-c", code]).output)


STARTUP = Case(
    "start-up",
    "The command, and the stack. *import* is what the command's modules and all that they import take in a fresh "
    "interpreter.",
    _run,
    cell="seconds",
    room=0.5,
)
