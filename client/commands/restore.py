"""`strongroom restore`."""

from pathlib import Path
from typing import Any

import click

from client.arguments import patterns, repository_uri, snapshot_path
from client.delivery import delivering_to
from client.errors import code_of
from client.installation import Installation
from client.output import EXIT_INCOMPLETE, json_line, json_option, path_fields, size, summary, tell_paths
from client.progress import meter
from client.restore.run import Restore, Restored
from client.restore.wanted import Wanted
from client.session import open_session
from sources.filesystem.target import check_target


@click.command(
    epilog="Example: strongroom restore documents latest:/home/me/documents --target /tmp/documents"
)
@click.argument("vault")
@click.argument("snapshot", metavar="SNAPSHOT[:PATH]")
@click.option(
    "--target", required=True, type=click.Path(path_type=Path), metavar="DIR", help="A new or empty folder."
)
@click.option(
    "--include", "includes", multiple=True, metavar="PATTERN", help="Only what matches (restic's patterns)."
)
@click.option("--exclude", "excludes", multiple=True, metavar="PATTERN", help="Not what matches.")
@click.option(
    "--delivery",
    metavar="URI",
    help="Where workers put parcels for this command; one of theirs. Default: the setting [delivery] area.",
)
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    *,
    vault: str,
    snapshot: str,
    target: Path,
    includes: tuple[str, ...],
    excludes: tuple[str, ...],
    delivery: str | None,
    as_json: bool,
) -> None:
    """Restore a snapshot of VAULT below DIR, each file under its original path; or the content of PATH into DIR."""
    installation = Installation.open()
    if delivery:
        installation = delivering_to(installation, repository_uri(delivery))
    asked = snapshot_path(snapshot)
    wanted = Wanted(
        installation.vault(vault), asked.snapshot, asked.path, patterns(includes), patterns(excludes)
    )
    check_target(target)
    with open_session(installation) as session:
        done = Restore(session, wanted, target.absolute()).run(lambda: meter("restoring", wanted=not as_json))
    if done.trouble is not None and not done.files:
        raise done.trouble
    result = _result(done)
    if as_json:
        click.echo(json_line(result))
    else:
        _show(done)
    ctx.exit(_exit_code(done))


def _exit_code(done: Restored) -> int:
    if done.trouble is not None:
        return done.trouble.exit_code
    if not done.failed:
        return 0
    return EXIT_INCOMPLETE if done.files else 1


def _result(done: Restored) -> dict[str, Any]:
    trouble = done.trouble
    error = (
        {}
        if trouble is None
        else {"error": trouble.message, "remedy": trouble.remedy, "code": code_of(trouble)}
    )
    return error | {
        "snapshot": done.snapshot,
        "files": done.files,
        "bytes_restored": done.byte_count,
        "errors": len(done.failed),
        "seconds": round(done.seconds, 3),
        "kms_calls": done.kms_calls,
        "failed": [{**path_fields(path), "error": why} for path, why in sorted(done.failed.items())],
        "warnings": [{**path_fields(path), "warning": text} for path, text in done.notes],
    }


def _show(done: Restored) -> None:
    tell_paths("These were restored, but not in all respects:", done.notes)
    tell_paths("These could not be restored:", sorted(done.failed.items()))
    if done.trouble is not None:
        click.echo(
            f"strongroom: {done.trouble.message}\n  -> {done.trouble.remedy or 'restore again'}", err=True
        )
    summary(
        {
            "snapshot": done.snapshot,
            "restored": f"{done.files} files, {size(done.byte_count)}",
            "failed": len(done.failed),
            "time": f"{done.seconds:.1f} s, {done.kms_calls} KMS calls",
        }
    )
