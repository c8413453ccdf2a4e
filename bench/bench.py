"""One measurement under way: the programs, the data, the room, and what was measured so far."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import BenchError
from bench.material import Material
from bench.measured import Failure, Result, Sample
from bench.programs.strongroom import Installation, Strongroom
from bench.programs.tool import Tool

_PAUSE_S = 0.5
Steps = Iterator[tuple[str, Result]]
Act = Callable[[Tool, Path, int], Steps]


@dataclass
class Bench:
    """What a case is given, and tells.

    Attributes:
        tools: the programs to compare that are installed.
        installation: of Strongroom, for cases that are about it alone; None when it is not to be measured.
        material: the data.
        room: a folder for repositories and restored trees; empty between cases.
        downloads: a folder for what is fetched; stays, if the user named one.
        rounds: of each case that is repeated.
        quick: little data.
        say: told one line for each result.
    """

    tools: Sequence[Tool]
    installation: Installation | None
    material: Material
    room: Path
    downloads: Path
    rounds: int
    quick: bool
    say: Callable[[str], None]
    samples: list[Sample] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    notes: dict[str, list[str]] = field(default_factory=dict)

    def record(self, sample: Sample) -> None:
        """Keep a result."""
        stored = sample.result.stored
        self.say(
            f"{sample.case}, round {sample.round}, {sample.tool}: {sample.step} {sample.result.wall:.2f} s"
            + (f", {stored / 1e6:,.1f} MB stored" if stored else "")
        )
        self.samples.append(sample)

    def fail(self, case: str, tool: str, error: Exception) -> None:
        """Keep what went wrong; the rest goes on."""
        self.say(f"{case}, {tool or 'the whole case'}: FAILED: {error}")
        self.failures.append(Failure(case, tool, str(error)))

    def note(self, case: str, line: str) -> None:
        """Say something about a case in the report."""
        self.say(f"{case}: {line}")
        self.notes.setdefault(case, []).append(line)

    def strongroom(self) -> Strongroom:
        """The program that a case about Strongroom alone measures.

        Raises:
            BenchError: it is not to be measured.
        """
        if self.installation is None:
            raise BenchError("measures Strongroom alone, which --tools leaves out")
        return Strongroom(self.installation)

    def alternate(self, case: str, tools: Sequence[Tool], act: Act, rounds: int = 0) -> None:
        """Let the programs take turns, round by round, so that drift hits all alike; each round another begins.

        A program that fails is left out from then on.

        Args:
            act: given a program, a place that it has prepared, and the round from 1; yields steps and results.
            rounds: instead of the measurement's own.
        """
        left = list(tools)
        for number in range(1, (rounds or self.rounds) + 1):
            for tool in rotated(left, number):
                with self.place(f"{case}-{tool.key}-{number}") as place:
                    try:
                        tool.prepare(place)
                        for step, result in act(tool, place, number):
                            self.record(Sample(case, tool.name, step, number, result))
                    except (BenchError, OSError) as error:
                        self.fail(case, tool.name, error)
                        left.remove(tool)
                time.sleep(
                    _PAUSE_S
                )  # freed pages and the last process's exit are not the next one's business

    @contextmanager
    def place(self, name: str) -> Iterator[Path]:
        """A path below the room that does not exist yet; what is made there is removed afterwards."""
        place = self.room / name
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    @contextmanager
    def target(self) -> Iterator[Path]:
        """An empty folder to restore into."""
        with self.place("restored") as folder:
            folder.mkdir()
            yield folder


def rotated(tools: Sequence[Tool], number: int) -> list[Tool]:
    """The programs in the order of round `number`."""
    start = (number - 1) % len(tools) if tools else 0
    return [*tools[start:], *tools[:start]]
