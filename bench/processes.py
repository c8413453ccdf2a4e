"""Running programs and adding up the processor time that they and the processes behind them use."""

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError

_TICK = os.sysconf("SC_CLK_TCK")
_STDERR_SHOWN = 2000
_FORGET_PEAK = "5"


@dataclass(frozen=True)
class Run:
    """One finished program: wall and processor seconds (its waited-for children included), standard output.

    `peak` is the resident memory of the largest of its processes, in bytes; never less than what this process has,
    in whose memory each begins (getrusage(2)).
    """

    wall: float
    cpu: float
    output: str
    peak: int


def run(command: Sequence[str], env: Mapping[str, str] | None = None) -> Run:
    """Run a program to its end.

    Args:
        command: program and arguments.
        env: variables added to this process's.

    Raises:
        BenchError: it did not exit with 0; carries the end of its standard error.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        forget_peak(os.getpid())
        start = time.perf_counter()
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env={**os.environ, **(env or {})}
        )
        _pid, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if child.returncode != 0:
            told = (errors.read() + output.read()).decode(errors="replace")[-_STDERR_SHOWN:]
            raise BenchError(f"{' '.join(command[:3])} ... exited with {child.returncode}:\n{told}")
        said = output.read().decode(errors="replace")
        return Run(wall, usage.ru_utime + usage.ru_stime, said, usage.ru_maxrss << 10)


def shell(pipeline: str) -> Run:
    """Run a pipeline; any part of it that fails fails the whole.

    Raises:
        BenchError: as `run`.
    """
    return run(["bash", "-o", "pipefail", "-c", pipeline])


def forget_peak(pid: int) -> None:
    """Have the kernel count a process's peak of resident memory anew, where it lets us (proc(5), clear_refs)."""
    try:
        Path(f"/proc/{pid}/clear_refs").write_text(_FORGET_PEAK)
    except OSError:
        return  # the peak is then that of its life


def cpu_of_descendants(root: int) -> float:
    """Processor seconds used so far by process `root`, what descends from it and what shares their sessions.

    Counts each living process and its waited-for dead children (proc(5): utime, stime, cutime, cstime), so the
    value only grows while every parent lives and waits.
    """
    processes = _processes()
    return sum(processes[pid].ticks for pid in _below(processes, {root}) if pid in processes) / _TICK


def descendants(*roots: int) -> set[int]:
    """The processes `roots`, what descends from them and what shares their sessions; never this process."""
    return _below(_processes(), set(roots)) - {os.getpid()}


@dataclass(frozen=True)
class _Process:
    parent: int
    session: int
    ticks: int


def _below(processes: Mapping[int, _Process], roots: set[int]) -> set[int]:
    wanted = set(roots)
    grown = True
    while grown:
        sessions = {processes[pid].session for pid in wanted if pid in processes} - {os.getsid(0)}
        more = {
            pid for pid, entry in processes.items() if entry.parent in wanted or entry.session in sessions
        }
        grown = not more <= wanted
        wanted |= more
    return wanted


def _processes() -> dict[int, _Process]:
    """Every process that /proc shows now; one that ends meanwhile is left out."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                text = Path("/proc", name, "stat").read_text(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            fields = text.rpartition(")")[2].split()
            found[int(name)] = _Process(int(fields[1]), int(fields[3]), sum(map(int, fields[11:15])))
    return found
