"""Strongroom as a measured program: its own command line, with a stack kept up as on a machine that backs up daily."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.data import Dataset, stored_bytes
from bench.errors import BenchError
from bench.processes import Run, cpu_of_descendants, run
from bench.tools import Result
from config.home import Home
from config.stack_file import running_stack

_COMMAND = Path(os.path.dirname(sys.executable), "strongroom")
"""The command of the environment that this runs in."""
_CMK = "bench"
_SETTLE = 0.3
"""Seconds that the stack gets to finish its bookkeeping before its processor time is read; they are not counted
as wall time."""


class Strongroom:
    """A fresh installation below `root`, with a local KMS and a stack; each place gets a vault of its own.

    Args:
        root: an empty folder for STRONGROOM_HOME.
    """

    name = "strongroom"

    def __init__(self, root: Path) -> None:
        self._home = Home(root)
        self._stack = 0
        self.start_seconds = 0.0
        self.stop_seconds = 0.0

    def version(self) -> str | None:
        """As `Tool`."""
        return self._strongroom("--version").output.strip() if _COMMAND.exists() else None

    def start(self) -> None:
        """Set the installation up and start its stack.

        Raises:
            BenchError: one of the commands failed.
        """
        self._strongroom("init")
        self.start_seconds = self._strongroom("up").wall
        info = running_stack(self._home)
        if info is None:
            raise BenchError("`strongroom up` succeeded, and there is no stack")
        self._stack = info.pid

    def stop(self) -> None:
        """Take the stack down, if it is up."""
        if self._stack:
            self.stop_seconds = self._strongroom("down").wall
            self._stack = 0

    def backup(self, data: Dataset, place: Path) -> Result:
        """As `Tool`."""
        repository = place.as_uri()
        self._strongroom("vault", "create", place.name, "--repo", repository, "--kms", f"local-kms://{_CMK}")
        return self._backup(data, place)

    def again(self, data: Dataset, place: Path) -> Result | None:
        """As `Tool`."""
        return self._backup(data, place)

    def restore(self, data: Dataset, place: Path, target: Path) -> tuple[Result, Path]:
        """As `Tool`."""
        result = self._measured("restore", place.name, "latest", "--target", str(target), "--json")
        return result, target / data.folder.relative_to("/")

    def _backup(self, data: Dataset, place: Path) -> Result:
        return self._measured(
            "backup", place.name, str(data.folder), "--json", stored=lambda: stored_bytes(place)
        )

    def _measured(self, *arguments: str, stored: Callable[[], int] = lambda: 0) -> Result:
        """Run a command; its processor time is the command's and what the stack's processes used meanwhile."""
        before = cpu_of_descendants(self._stack)
        done = self._strongroom(*arguments)
        time.sleep(_SETTLE)
        behind = cpu_of_descendants(self._stack) - before
        report = _last_object(done)
        if report["errors"]:
            raise BenchError(f"strongroom {arguments[0]} reports errors: {report['errors']}")
        return Result(done.wall, done.cpu + behind, stored() or None, report["kms_calls"])

    def _strongroom(self, *arguments: str) -> Run:
        return run([str(_COMMAND), *arguments], {"STRONGROOM_HOME": str(self._home.root)})


def _last_object(done: Run) -> dict[str, Any]:
    """The JSON object on the last line of a command's output.

    Raises:
        BenchError: there is none.
    """
    try:
        found: dict[str, Any] = json.loads(done.output.strip().rpartition("\n")[2])
    except json.JSONDecodeError as error:
        raise BenchError(f"no JSON on the last line of: {done.output[-500:]!r}") from error
    return found
