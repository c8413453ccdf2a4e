"""Repositories on a real S3 server."""

from collections.abc import Sequence
from pathlib import Path

from bench.bench import Bench, Steps
from bench.cases.case import Case
from bench.data import compare
from bench.errors import BenchError
from bench.programs.in_bucket import ResticInBucket, StrongroomInBucket
from bench.programs.rclone import Rclone
from bench.programs.tool import Tool
from tests.s3_server import s3_server

_ROUNDS = 2
_WORKERS = (2, 4)


def _run(bench: Bench) -> None:
    data = bench.material.big()
    bytes_there = sum(path.stat().st_size for path in data.folder.rglob("*") if path.is_file())
    bench.note("s3", f"{bytes_there / 1e6:,.0f} MB.")
    installation = bench.strongroom().installation
    installation.down()

    def act(tool: Tool, place: Path, number: int) -> Steps:
        yield "backup", tool.backup(data.folder, place)
        with bench.target() as target:
            result, folder = tool.restore(data.folder, place, target)
            if number == 1:
                compare(data.folder, folder)
        yield "restore", result

    with bench.place("server") as folder:
        folder.mkdir()
        try:
            with s3_server(folder) as server:
                tools: Sequence[Tool] = [
                    *(StrongroomInBucket(installation, server, number) for number in _WORKERS),
                    ResticInBucket(server),
                    Rclone(server),
                ]
                present = [tool for tool in tools if tool.version() is not None]
                bench.alternate("s3", present, act, min(_ROUNDS, bench.rounds))
        except (OSError, AssertionError) as error:
            raise BenchError(f"the S3 server does not run: {error}") from error
        finally:
            installation.down()


BUCKET = Case(
    "s3",
    "The big files into a bucket of a SeaweedFS server on the same two processors, and back; rclone copies them as "
    "they are. The server's own processor time, which is most of it, is not in the brackets.",
    _run,
    room=9.0,
)
