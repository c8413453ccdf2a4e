"""kopia, told to compress. Untried: written after its documentation, where no kopia was at hand."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from bench.data import stored_bytes
from bench.errors import BenchError
from bench.measured import Result
from bench.processes import run
from bench.programs.tool import PASSWORD, first_line, result


class Kopia:
    """kopia; its configuration and cache lie beside the repository."""

    name = "kopia, zstd-fastest"
    key = "kopia"
    increments = True

    def version(self) -> str | None:
        """As `Tool`."""
        return first_line(["kopia", "--version"]) if shutil.which("kopia") else None

    def prepare(self, place: Path) -> None:
        """As `Tool`."""
        (place / "repository").mkdir(parents=True)
        cache = f"--cache-directory={place / 'cache'}"
        create = ["kopia", "repository", "create", "filesystem", f"--path={place / 'repository'}", cache]
        run(create, _environment(place))
        run(["kopia", "policy", "set", "--global", "--compression=zstd-fastest"], _environment(place))

    def backup(self, folder: Path, place: Path) -> Result:
        """As `Tool`."""
        done = run(["kopia", "snapshot", "create", "--json", str(folder)], _environment(place))
        (place / "snapshot.json").write_text(done.output)
        return result(done, stored_bytes(place / "repository"))

    def restore(
        self, folder: Path, place: Path, target: Path, only: Path | None = None
    ) -> tuple[Result, Path]:
        """As `Tool`."""
        try:
            root = json.loads((place / "snapshot.json").read_text())["rootEntry"]["obj"]
        except (ValueError, KeyError, TypeError) as error:
            raise BenchError("kopia does not say what it made") from error
        into = target / (only or folder).name
        source = f"{root}/{only.relative_to(folder)}" if only else root
        return result(run(["kopia", "restore", source, str(into)], _environment(place))), into


def _environment(place: Path) -> Mapping[str, str]:
    return {
        "KOPIA_CONFIG_PATH": str(place / "repository.config"),
        "KOPIA_PASSWORD": PASSWORD,
        "KOPIA_CHECK_FOR_UPDATES": "false",
        "KOPIA_LOG_DIR": str(place / "logs"),
    }
