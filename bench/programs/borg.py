"""borg with its authenticated encryption and zstd level 1."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from bench.data import stored_bytes
from bench.measured import Result
from bench.processes import run
from bench.programs.tool import PASSWORD, first_line, result


class Borg:
    """borg; its cache and keys lie beside the repository."""

    name = "borg, zstd 1"
    key = "borg"
    increments = True

    def version(self) -> str | None:
        """As `Tool`."""
        return first_line(["borg", "--version"]) if shutil.which("borg") else None

    def prepare(self, place: Path) -> None:
        """As `Tool`."""
        place.mkdir()
        run(["borg", "init", "--encryption=repokey-blake2"], _environment(place))

    def backup(self, folder: Path, place: Path) -> Result:
        """As `Tool`."""
        command = ["borg", "create", "-C", "zstd,1", "::{now:%Y-%m-%d_%H-%M-%S.%f}", str(folder)]
        return result(run(command, _environment(place)), stored_bytes(place / "repository"))

    def restore(
        self, folder: Path, place: Path, target: Path, only: Path | None = None
    ) -> tuple[Result, Path]:
        """As `Tool`."""
        latest = run(["borg", "list", "--last", "1", "--short"], _environment(place)).output.strip()
        wanted = (only or folder).relative_to("/")
        command = ["env", "-C", str(target), "borg", "extract", f"::{latest}", str(wanted)]
        return result(run(command, _environment(place))), target / wanted


def _environment(place: Path) -> Mapping[str, str]:
    return {
        "BORG_REPO": str(place / "repository"),
        "BORG_BASE_DIR": str(place / "base"),
        "BORG_PASSPHRASE": PASSWORD,
    }
