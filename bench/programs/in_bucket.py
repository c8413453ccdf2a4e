"""Strongroom and restic with their repositories on an S3 server."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

from bench.measured import Result
from bench.processes import run
from bench.programs.strongroom import Installation, Strongroom, make_vault
from bench.programs.tool import PASSWORD, first_line, result
from tests.s3_server import BUCKET, S3Server


class StrongroomInBucket(Strongroom):
    """Strongroom, repository and delivery area apart: parcels still pass through a folder.

    Args:
        installation: as of `Strongroom`.
        server: of the bucket; its credentials are in this process's environment, which the stack inherits.
        workers: as of `Strongroom`; more than there are processors hide the server's answering times.
    """

    def __init__(self, installation: Installation, server: S3Server, workers: int) -> None:
        super().__init__(installation, workers)
        self._server = server
        # The stack of another case has no credentials.
        self._environment |= {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        self.key = f"strongroom-{workers}"

    def prepare(self, place: Path) -> None:
        """As `Tool`."""
        self.installation.ensure_up(self._environment)
        make_vault(self.installation, place.name, self._server.uri(place.name))

    def backup(self, folder: Path, place: Path) -> Result:
        """As `Tool`; what is stored is not counted."""
        return self._measured("backup", place.name, str(folder), "--json")


class ResticInBucket:
    """restic over S3 with its defaults.

    Args:
        server: of the bucket.
    """

    name = "restic"
    key = "restic"
    increments = True

    def __init__(self, server: S3Server) -> None:
        self._server = server

    def version(self) -> str | None:
        """As `Tool`."""
        return first_line(["restic", "version"]) if shutil.which("restic") else None

    def prepare(self, place: Path) -> None:
        """As `Tool`."""
        run(["restic", "init", "-q"], self._variables(place))

    def backup(self, folder: Path, place: Path) -> Result:
        """As `Tool`."""
        return result(run(["restic", "backup", "-q", str(folder)], self._variables(place)))

    def restore(
        self, folder: Path, place: Path, target: Path, only: Path | None = None
    ) -> tuple[Result, Path]:
        """As `Tool`."""
        command = ["restic", "restore", "-q", "latest", "--target", str(target)]
        done = run(command + (["--include", str(only)] if only else []), self._variables(place))
        return replace(result(done), stored=None), target / (only or folder).relative_to("/")

    def _variables(self, place: Path) -> dict[str, str]:
        return {
            "RESTIC_REPOSITORY": f"s3:{self._server.endpoint}/{BUCKET}/{place.name}",
            "RESTIC_CACHE_DIR": str(place / "cache"),
            "RESTIC_PASSWORD": PASSWORD,
            "AWS_PROFILE": "admin",
        }
