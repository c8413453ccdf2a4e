"""What a measured program must be able to do, and what the modules beside this one share."""

from dataclasses import replace
from pathlib import Path
from typing import Protocol

from bench.measured import Result
from bench.processes import Run, run

PASSWORD = "not a secret: this repository lives for one measurement"  # noqa: S105


class Tool(Protocol):
    """A backup program. Each measurement gives it a new `place`, a folder that does not exist, for its repository.

    Attributes:
        name: in tables.
        key: in --tools, and in names of folders.
        increments: whether a second backup is smaller than the first.
    """

    name: str
    key: str
    increments: bool

    def version(self) -> str | None:
        """What it calls itself, or None when it is not installed."""

    def prepare(self, place: Path) -> None:
        """Make the repository, and whatever else is there before somebody backs up; not measured."""

    def backup(self, folder: Path, place: Path) -> Result:
        """Back the folder up."""

    def restore(
        self, folder: Path, place: Path, target: Path, only: Path | None = None
    ) -> tuple[Result, Path]:
        """Restore the latest backup into the empty folder `target`.

        Args:
            folder: what was backed up.
            only: a file below it, if that is all that is wanted.

        Returns:
            The result, and where `folder`, or the file, then is.
        """


def result(done: Run, stored: int | None = None) -> Result:
    """The result of a program that works in processes of its own and in no other."""
    return replace(Result(done.wall, done.cpu, stored), peak={"command": done.peak})


def first_line(command: list[str]) -> str:
    """What a program says first; the version, mostly."""
    return run(command).output.strip().partition("\n")[0]
