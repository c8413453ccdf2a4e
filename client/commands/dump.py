"""`strongroom dump`."""

import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, Final

import click

from client.answer import untold
from client.arguments import LATEST, snapshot_filter, snapshot_path
from client.dump.output import check_target, file_output, standard_output
from client.dump.run import Dump, Dumped
from client.dump.sink import Content, Sink
from client.errors import BadArgument, NotDumpable
from client.filters import filter_options
from client.installation import Installation
from client.output import EXIT_INCOMPLETE, json_line, json_option, path_fields, tell_paths, tell_snapshot
from client.progress import meter
from client.restore.wanted import Wanted
from client.session import open_session
from crypto.parcel import Piece

_STDOUT: Final = "-"
_KINDS: Final = {
    "l": "a symbolic link",
    "p": "a FIFO",
    "c": "a device",
    "b": "a device",
}


@click.command(epilog="Example: strongroom dump documents latest:/home/me/documents --archive zip > d.zip")
@click.argument("vault")
@click.argument("snapshot", metavar="SNAPSHOT[:PATH]")
@click.option(
    "-a",
    "--archive",
    type=click.Choice(["tar", "zip"]),
    help="What a folder is written as. Default: tar.",
)
@click.option("-t", "--target", metavar="FILE", help="Write to FILE in place of standard output.")
@filter_options
@json_option
@click.pass_context
def command(  # noqa: PLR0913 - one for each option
    ctx: click.Context,
    *,
    vault: str,
    snapshot: str,
    archive: str | None,
    target: str | None,
    hosts: tuple[str, ...],
    tags: tuple[str, ...],
    paths: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write the content of one file of VAULT to standard output; or a folder, or a whole snapshot, as an archive.

    SNAPSHOT is an id, a prefix of one, or latest: the newest that the options let through and that has PATH.
    Names in an archive are relative to PATH.

    Nothing is written that was not verified as a part of the snapshot. Whether it is all there says the exit code:
    0 for everything, 3 for an archive without the files that are named on standard error, another when it ended in the
    middle. FILE appears, or is replaced, only when it is complete; with it, --json tells what was written.

    \f
    Raises:
        BadArgument: nothing can be dumped so.
        NotDumpable, DumpBroken: see `client.dump.run`.
        JobFailed and others: see `client.job`.
    """
    installation = Installation.open()
    asked = snapshot_path(snapshot)
    chosen = snapshot_filter(hosts, tags, paths, asked.snapshot)
    wanted = Wanted(installation.vault(vault), asked.snapshot, asked.path, filter=chosen)
    tell = tell_snapshot if wanted.snapshot == LATEST else untold
    to_file = Path(target).absolute() if target not in (None, _STDOUT) else None
    if to_file is not None:
        check_target(to_file)
    elif as_json:
        raise BadArgument("standard output has the content", remedy="use --target FILE with --json")
    with open_session(installation) as session, _output(to_file) as out:
        done = Dump(
            session, wanted, lambda first: _sink(out, wanted.path, first, archive, to_file), tell
        ).run(lambda: meter("dumping", wanted=to_file is not None or not sys.stdout.isatty()))
    if as_json:
        click.echo(json_line(_result(done)))
    else:
        tell_paths("These are not in it, or not as they should be:", sorted(done.failed.items()))
    ctx.exit(_exit_code(done))


def _output(target: Path | None) -> AbstractContextManager[BinaryIO]:
    return standard_output() if target is None else file_output(target)


def _sink(out: BinaryIO, path: bytes, first: Piece | None, archive: str | None, target: Path | None) -> Sink:
    """What is written, which the first thing that comes decides.

    Raises:
        NotDumpable: something without content, an archive of one file, or an archive to a terminal.
    """
    if first is not None and first.path == path and first.kind != "d":
        if first.kind != "f":
            raise NotDumpable(
                f"it is {_KINDS[first.kind]}, which has no content", remedy="dump the folder that it is in"
            )
        if archive is not None:
            raise NotDumpable(
                "it is one file, which is written as it is and not as an archive",
                remedy="leave out --archive, or dump the folder that it is in",
            )
        return Content(out, path)
    if target is None and sys.stdout.isatty():
        raise NotDumpable(
            "an archive does not go to a terminal", remedy="redirect standard output, or use --target FILE"
        )
    if archive == "zip":
        from client.dump.zip import ZipSink

        return ZipSink(out, path)
    from client.dump.tar import TarSink

    return TarSink(out, path)


def _result(done: Dumped) -> dict[str, Any]:
    return {
        "snapshot": done.snapshot,
        "files": done.files,
        "bytes": done.byte_count,
        "errors": len(done.failed),
        "failed": [{**path_fields(path), "error": why} for path, why in sorted(done.failed.items())],
    }


def _exit_code(done: Dumped) -> int:
    if not done.failed:
        return 0
    return EXIT_INCOMPLETE if done.files else 1
