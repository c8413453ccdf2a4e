"""restic with its defaults."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from bench.data import stored_bytes
from bench.measured import Result
from bench.processes import run
from bench.programs.tool import PASSWORD, first_line, result


class Restic:
    """restic; its cache lies beside the repository."""

    name = "restic"
    key = "restic"
    increments = True

    def version(self) -> str | None:
        """As `Tool`."""
        return first_line(["restic", "version"]) if shutil.which("restic") else None

    def prepare(self, place: Path) -> None:
        """As `Tool`."""
        run(["restic", "init", "-q"], _environment(place))

    def backup(self, folder: Path, place: Path) -> Result:
        """As `Tool`."""
        done = run(["restic", "backup", "-q", str(folder)], _environment(place))
        return result(done, stored_bytes(place / "repository"))

    def restore(
        self, folder: Path, place: Path, target: Path, only: Path | None = None
    ) -> tuple[Result, Path]:
        """As `Tool`."""
        command = ["restic", "restore", "-q", "latest", "--target", str(target)]
        if only:
            command += ["--include", str(only)]
        return result(run(command, _environment(place))), target / (only or folder).relative_to("/")


def _environment(place: Path) -> Mapping[str, str]:
    return {
        "RESTIC_REPOSITORY": str(place / "repository"),
        "RESTIC_CACHE_DIR": str(place / "cache"),
        "RESTIC_PASSWORD": PASSWORD,
    }
