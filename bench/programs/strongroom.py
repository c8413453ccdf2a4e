"""Strongroom as a measured program: its own command line, against a stack that is up, or with one of its own."""

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.data import stored_bytes
from bench.errors import BenchError
from bench.measured import Result
from bench.memory import Watch, bytes_read
from bench.processes import Run, cpu_of_descendants, run
from config.home import Home
from config.stack_file import running_stack

_COMMAND = Path(os.path.dirname(sys.executable), "strongroom")
"""The command of the environment that this runs in."""
_CMK = "bench"
_SETTLE = 0.3
"""Seconds that the stack gets to finish its bookkeeping before its processor time is read; they are not counted
as wall time."""


class Installation:
    """A home with a local KMS, and the one stack that may be up in it.

    Args:
        root: an empty folder for STRONGROOM_HOME.

    Attributes:
        pid: of the stack that is up, 0 when there is none.
    """

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self.pid = 0
        self._environment: Mapping[str, str] = {}

    def command(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Run:
        """Run `strongroom`.

        Raises:
            BenchError: it failed.
        """
        variables = {"STRONGROOM_HOME": str(self.home.root), **(environment or {})}
        return run([str(_COMMAND), *arguments], variables)

    def ensure_up(self, environment: Mapping[str, str]) -> Run | None:
        """Have a stack with exactly these settings; returns how it was started, None if it was up.

        Raises:
            BenchError: it does not start.
        """
        if self.pid and self._environment == environment and running_stack(self.home):
            return None
        self.down()
        self.ensure_made()
        done = self.command("up", environment=environment)
        info = running_stack(self.home)
        if info is None:
            raise BenchError("`strongroom up` succeeded, and there is no stack")
        self.pid, self._environment = info.pid, environment
        return done

    def ensure_made(self) -> None:
        """Have an installation.

        Raises:
            BenchError: `strongroom init` failed.
        """
        if not self.home.registry_file.exists():
            self.command("init")

    def down(self) -> Run | None:
        """Take the stack down; returns how, None if none was up."""
        if not self.pid:
            return None
        self.pid = 0
        return self.command("down") if running_stack(self.home) else None


class Strongroom:
    """The command, with a stack kept up as on a machine that backs up daily; each place gets a vault of its own.

    Args:
        installation: shared by all of these; whoever prepares last says which stack is up.
        workers: processes of the backup and of the restore role; 0: as many as processors.
    """

    key = "strongroom"
    increments = True

    def __init__(self, installation: Installation, workers: int = 0) -> None:
        self.installation = installation
        self.name = f"strongroom, {workers} worker{'s' * (workers > 1)}" if workers else "strongroom"
        self._environment = (
            {"STRONGROOM_WORKERS_BACKUP": str(workers), "STRONGROOM_WORKERS_RESTORE": str(workers)}
            if workers
            else {}
        )

    def version(self) -> str | None:
        """As `Tool`."""
        return self.installation.command("--version").output.strip() if _COMMAND.exists() else None

    def prepare(self, place: Path) -> None:
        """As `Tool`."""
        self.installation.ensure_up(self._environment)
        make_vault(self.installation, place)

    def backup(self, folder: Path, place: Path) -> Result:
        """As `Tool`."""
        return replace(
            self._measured("backup", place.name, str(folder), "--json"), stored=stored_bytes(place)
        )

    def restore(
        self, folder: Path, place: Path, target: Path, only: Path | None = None
    ) -> tuple[Result, Path]:
        """As `Tool`."""
        snapshot = f"latest:{only}" if only else "latest"
        found = self._measured("restore", place.name, snapshot, "--target", str(target), "--json")
        return found, target / (only.name if only else folder.relative_to("/"))

    def _measured(self, *arguments: str) -> Result:
        """Run a command; its processor time is the command's and what the stack's processes used meanwhile."""
        stack = self.installation.pid
        cpu, read = cpu_of_descendants(stack), bytes_read(stack)
        with Watch(stack, os.getpid()) as watch:
            done = self.installation.command(*arguments)
            time.sleep(_SETTLE)
        more = bytes_read(stack)
        found = replace(_told(done), cpu=done.cpu + cpu_of_descendants(stack) - cpu)
        return replace(
            found,
            read=None if read is None or more is None else more - read,
            peak={"command": done.peak, **watch.peak},
            anonymous=watch.anonymous,
        )


class OneShot(Strongroom):
    """The command alone: it starts a stack for itself and takes it down, and that is measured, too."""

    key = "one-shot"

    def __init__(self, installation: Installation) -> None:
        super().__init__(installation)
        self.name = "strongroom, one-shot"

    def prepare(self, place: Path) -> None:
        """As `Tool`."""
        self.installation.ensure_made()
        make_vault(self.installation, place)
        self.installation.down()

    def _measured(self, *arguments: str) -> Result:
        with Watch(os.getpid()) as watch:
            done = self.installation.command(*arguments)
        return replace(_told(done), peak={"command": done.peak, **watch.peak}, anonymous=watch.anonymous)


def make_vault(installation: Installation, place: Path) -> None:
    """Make a vault that is named after its place.

    Raises:
        BenchError: the command failed.
    """
    installation.command(
        "vault", "create", place.name, "--repo", place.as_uri(), "--kms", f"local-kms://{_CMK}"
    )


def _told(done: Run) -> Result:
    """What a command reports about itself.

    Raises:
        BenchError: it reports errors.
    """
    report = last_object(done)
    if report["errors"]:
        raise BenchError(f"strongroom reports errors: {report['errors']}")
    return Result(done.wall, done.cpu, kms_calls=report["kms_calls"])


def last_object(done: Run) -> dict[str, Any]:
    """The JSON object on the last line of a command's output.

    Raises:
        BenchError: there is none.
    """
    try:
        found: dict[str, Any] = json.loads(done.output.strip().rpartition("\n")[2])
    except json.JSONDecodeError as error:
        raise BenchError(f"no JSON on the last line of: {done.output[-500:]!r}") from error
    return found
