"""rclone, which copies files to a bucket as they are: no encryption, no deduplication, no versions."""

import shutil
from pathlib import Path

from bench.measured import Result
from bench.processes import run
from bench.programs.tool import first_line, result
from tests.s3_server import BUCKET, S3Server


class Rclone:
    """`rclone copy` to a bucket and back.

    Args:
        server: of the bucket.
    """

    name = "rclone copy"
    key = "rclone"
    increments = True

    def __init__(self, server: S3Server) -> None:
        self._environment = {
            "RCLONE_CONFIG": "/dev/null",
            "RCLONE_CONFIG_BENCH_TYPE": "s3",
            "RCLONE_CONFIG_BENCH_PROVIDER": "Other",
            "RCLONE_CONFIG_BENCH_ENDPOINT": server.endpoint,
            "RCLONE_CONFIG_BENCH_REGION": "us-east-1",
            "RCLONE_CONFIG_BENCH_NO_CHECK_BUCKET": "true",
            "RCLONE_CONFIG_BENCH_ENV_AUTH": "true",
            "AWS_PROFILE": "admin",
        }

    def version(self) -> str | None:
        """As `Tool`."""
        return first_line(["rclone", "version"]) if shutil.which("rclone") else None

    def prepare(self, place: Path) -> None:
        """As `Tool`: nothing."""

    def backup(self, folder: Path, place: Path) -> Result:
        """As `Tool`."""
        return result(run(["rclone", "copy", str(folder), f"bench:{BUCKET}/{place.name}"], self._environment))

    def restore(
        self, folder: Path, place: Path, target: Path, only: Path | None = None
    ) -> tuple[Result, Path]:
        """As `Tool`."""
        where = f"bench:{BUCKET}/{place.name}" + (f"/{only.relative_to(folder)}" if only else "")
        done = run(["rclone", "copy", where, str(target)], self._environment)
        return result(done), target / only.name if only else target
