"""The programs that are measured beside Strongroom, and what a measured program must be able to do."""

import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.data import Dataset, stored_bytes
from bench.processes import Run, run, shell

_PASSWORD = "not a secret: this repository lives for one measurement"  # noqa: S105


@dataclass(frozen=True)
class Result:
    """One measured step. Seconds; `stored` is the size of the repository afterwards; None: does not apply."""

    wall: float
    cpu: float
    stored: int | None = None
    kms_calls: int | None = None


class Tool(Protocol):
    """A backup program. Each round gets a new, empty `place` for its repository."""

    name: str

    def version(self) -> str | None:
        """What it calls itself, or None when it is not installed."""

    def backup(self, data: Dataset, place: Path) -> Result:
        """Back the folder up; the first call in a place makes the repository, which is not measured."""

    def again(self, data: Dataset, place: Path) -> Result | None:
        """Back the unchanged folder up once more, or None when the program can only do it all again."""

    def restore(self, data: Dataset, place: Path, target: Path) -> tuple[Result, Path]:
        """Restore into the empty `target`; also says where below it the folder then is."""


class TarZstd:
    """`tar` piped to `zstd -1 -T2`: no encryption, no deduplication, no increments; the floor to compare with."""

    name = "tar + zstd -1 -T2"

    def version(self) -> str | None:
        """As `Tool`."""
        if not (shutil.which("tar") and shutil.which("zstd")):
            return None
        return f"{_first_line(['tar', '--version'])}; {_first_line(['zstd', '--version'])}"

    def backup(self, data: Dataset, place: Path) -> Result:
        """As `Tool`."""
        place.mkdir()
        pipeline = (
            f"tar -C {shlex.quote(str(data.folder.parent))} -cf - {shlex.quote(data.folder.name)}"
            f" | zstd -1 -T2 -q -o {shlex.quote(str(place / 'archive'))}"
        )
        return _result(shell(pipeline), stored_bytes(place))

    def again(self, data: Dataset, place: Path) -> Result | None:
        """As `Tool`."""
        del data, place
        return None

    def restore(self, data: Dataset, place: Path, target: Path) -> tuple[Result, Path]:
        """As `Tool`."""
        archive, into = shlex.quote(str(place / "archive")), shlex.quote(str(target))
        return _result(shell(f"zstd -dcq {archive} | tar -C {into} -xf -")), target / data.folder.name


class Restic:
    """restic with its defaults."""

    name = "restic"

    def version(self) -> str | None:
        """As `Tool`."""
        return _first_line(["restic", "version"]) if shutil.which("restic") else None

    def backup(self, data: Dataset, place: Path) -> Result:
        """As `Tool`."""
        run(["restic", "init", "-q"], self._environment(place))
        return self._backup(data, place)

    def again(self, data: Dataset, place: Path) -> Result | None:
        """As `Tool`."""
        return self._backup(data, place)

    def restore(self, data: Dataset, place: Path, target: Path) -> tuple[Result, Path]:
        """As `Tool`."""
        command = ["restic", "restore", "-q", "latest", "--target", str(target)]
        return _result(run(command, self._environment(place))), target / data.folder.relative_to("/")

    def _backup(self, data: Dataset, place: Path) -> Result:
        done = run(["restic", "backup", "-q", str(data.folder)], self._environment(place))
        return _result(done, stored_bytes(place / "repository"))

    @staticmethod
    def _environment(place: Path) -> Mapping[str, str]:
        return {
            "RESTIC_REPOSITORY": str(place / "repository"),
            "RESTIC_CACHE_DIR": str(place / "cache"),
            "RESTIC_PASSWORD": _PASSWORD,
        }


class Borg:
    """borg with its authenticated encryption and zstd level 1."""

    name = "borg, zstd 1"

    def version(self) -> str | None:
        """As `Tool`."""
        return _first_line(["borg", "--version"]) if shutil.which("borg") else None

    def backup(self, data: Dataset, place: Path) -> Result:
        """As `Tool`."""
        place.mkdir()
        run(["borg", "init", "--encryption=repokey-blake2"], self._environment(place))
        return self._create(data, place, "first")

    def again(self, data: Dataset, place: Path) -> Result | None:
        """As `Tool`."""
        return self._create(data, place, "second")

    def restore(self, data: Dataset, place: Path, target: Path) -> tuple[Result, Path]:
        """As `Tool`."""
        command = ["env", "-C", str(target), "borg", "extract", "::first"]
        return _result(run(command, self._environment(place))), target / data.folder.relative_to("/")

    def _create(self, data: Dataset, place: Path, archive: str) -> Result:
        command = ["borg", "create", "-C", "zstd,1", f"::{archive}", str(data.folder)]
        return _result(run(command, self._environment(place)), stored_bytes(place / "repository"))

    @staticmethod
    def _environment(place: Path) -> Mapping[str, str]:
        return {
            "BORG_REPO": str(place / "repository"),
            "BORG_BASE_DIR": str(place / "base"),
            "BORG_PASSPHRASE": _PASSWORD,
        }


def _first_line(command: list[str]) -> str:
    return run(command).output.strip().partition("\n")[0]


def _result(done: Run, stored: int | None = None) -> Result:
    return Result(done.wall, done.cpu, stored)
