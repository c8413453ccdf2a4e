"""rustic with its defaults. Untried: written after its documentation, where no rustic was at hand."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from bench.data import stored_bytes
from bench.measured import Result
from bench.processes import run
from bench.programs.tool import PASSWORD, first_line, result


class Rustic:
    """rustic; its cache lies beside the repository."""

    name = "rustic"
    key = "rustic"
    increments = True

    def version(self) -> str | None:
        """As `Tool`."""
        return first_line(["rustic", "--version"]) if shutil.which("rustic") else None

    def prepare(self, place: Path) -> None:
        """As `Tool`."""
        place.mkdir()
        run(["rustic", "init"], _environment(place))

    def backup(self, folder: Path, place: Path) -> Result:
        """As `Tool`."""
        done = run(["rustic", "backup", str(folder)], _environment(place))
        return result(done, stored_bytes(place / "repository"))

    def restore(
        self, folder: Path, place: Path, target: Path, only: Path | None = None
    ) -> tuple[Result, Path]:
        """As `Tool`."""
        into = target / (only or folder).name
        done = run(["rustic", "restore", f"latest:{only or folder}", str(into)], _environment(place))
        return result(done), into


def _environment(place: Path) -> Mapping[str, str]:
    return {
        "RUSTIC_REPOSITORY": str(place / "repository"),
        "RUSTIC_CACHE_DIR": str(place / "cache"),
        "RUSTIC_PASSWORD": PASSWORD,
        "RUSTIC_NO_PROGRESS": "true",
    }
