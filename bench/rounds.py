"""The order of a measurement: every program in turn, data by data, round by round, so that drift hits all alike."""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.data import Dataset, compare
from bench.tools import Result, Tool


@dataclass(frozen=True)
class Sample:
    """What one program did with one dataset in one round."""

    tool: str
    data: str
    round: int
    backup: Result
    again: Result | None
    restore: Result


def measure(
    tools: Sequence[Tool], datasets: Sequence[Dataset], rounds: int, room: Path, say: Callable[[str], None]
) -> list[Sample]:
    """Measure all programs. The first round's restores are compared with the original, byte for byte.

    Args:
        room: a folder for repositories and restored trees; emptied as it goes.
        say: told one line for each sample.

    Raises:
        BenchError: a program failed, or gave other bytes back.
    """
    samples = []
    for number in range(1, rounds + 1):
        for data in datasets:
            for tool in _rotated(tools, number):
                sample = _sample(tool, data, number, room, check=number == 1)
                again = f"{sample.again.wall:.2f} s" if sample.again else "-"
                say(
                    f"round {number}, {data.name}, {tool.name}: "
                    f"backup {sample.backup.wall:.2f} s, again {again}, restore {sample.restore.wall:.2f} s"
                )
                samples.append(sample)
    return samples


def _sample(tool: Tool, data: Dataset, number: int, room: Path, *, check: bool) -> Sample:
    place = room / f"{data.name}-{number}"
    target = room / "restored"
    target.mkdir()
    try:
        backup = tool.backup(data, place)
        again = tool.again(data, place)
        restore, folder = tool.restore(data, place, target)
        if check:
            compare(data.folder, folder)
    finally:
        shutil.rmtree(target, ignore_errors=True)
        shutil.rmtree(place, ignore_errors=True)
    time.sleep(0.5)  # freed pages and the last process's exit are not the next program's business
    return Sample(tool.name, data.name, number, backup, again, restore)


def _rotated(tools: Sequence[Tool], number: int) -> list[Tool]:
    """Another program begins each round."""
    start = (number - 1) % len(tools)
    return [*tools[start:], *tools[:start]]
