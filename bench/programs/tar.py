"""`tar` piped to `zstd -1 -T2`: no encryption, no deduplication, no increments; the floor to compare with."""

import shlex
import shutil
from pathlib import Path

from bench.data import stored_bytes
from bench.measured import Result
from bench.processes import shell
from bench.programs.tool import first_line, result


class TarZstd:
    """tar and zstd."""

    name = "tar + zstd -1 -T2"
    key = "tar"
    increments = False

    def version(self) -> str | None:
        """As `Tool`."""
        if not (shutil.which("tar") and shutil.which("zstd")):
            return None
        return f"{first_line(['tar', '--version'])}; {first_line(['zstd', '--version'])}"

    def prepare(self, place: Path) -> None:
        """As `Tool`."""
        place.mkdir()

    def backup(self, folder: Path, place: Path) -> Result:
        """As `Tool`."""
        pipeline = (
            f"tar -C {shlex.quote(str(folder.parent))} -cf - {shlex.quote(folder.name)}"
            f" | zstd -1 -T2 -q -f -o {shlex.quote(str(place / 'archive'))}"
        )
        return result(shell(pipeline), stored_bytes(place))

    def restore(
        self, folder: Path, place: Path, target: Path, only: Path | None = None
    ) -> tuple[Result, Path]:
        """As `Tool`."""
        wanted = (only or folder).relative_to(folder.parent)
        archive, into = shlex.quote(str(place / "archive")), shlex.quote(str(target))
        member = f" {shlex.quote(str(wanted))}" if only else ""
        return result(shell(f"zstd -dcq {archive} | tar -C {into} -xf -{member}")), target / wanted
