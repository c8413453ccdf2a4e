"""`strongroom backup`."""

import json
import os
import platform
from typing import Any

import click

from client.arguments import bucket_paths, host_name, paths_elsewhere, patterns, source_paths
from client.errors import JobFailed
from client.installation import Installation
from client.job import Finished, Job
from client.output import EXIT_INCOMPLETE, json_line, json_option, path_fields, size, summary, tell_paths
from client.progress import Tally, meter
from client.session import open_session
from crypto import job as jobs


@click.command(epilog="Example: strongroom backup documents ~/documents --exclude '*.tmp' --tag evening")
@click.argument("vault")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--exclude",
    "excludes",
    multiple=True,
    metavar="PATTERN",
    help="Leave out what matches (restic's patterns).",
)
@click.option(
    "--host",
    default="",
    help="The host whose workers read PATH..., which are absolute there; default: the vault's host, if it has one.",
)
@click.option("--tag", "tags", multiple=True, help="A word to remember the snapshot by.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    vault: str,
    paths: tuple[str, ...],
    excludes: tuple[str, ...],
    host: str,
    tags: tuple[str, ...],
    as_json: bool,
) -> None:
    """Back up PATH... into VAULT as one snapshot. What has not changed since the last one is not read again.

    PATH is a file or folder, or the objects of a bucket: s3://bucket/prefix?region=...&profile=...
    """
    installation = Installation.open()
    entry = installation.vault(vault)
    reader = host_name(host) or entry.host
    here = not installation.settings.broker.url
    roots = bucket_paths(paths)
    if not roots:
        roots = paths_elsewhere(paths, reader) if reader else source_paths(paths, here=here)
    patterns(excludes)

    def make_spec(requester: bytes) -> jobs.Spec:
        return jobs.BackupSpec(
            entry.repo, requester, roots, excludes, tags, reader or platform.node(), reader
        )

    with open_session(installation) as session, meter("backing up", wanted=not as_json) as shown:
        finished = Job(session, jobs.BACKUP, entry.id, make_spec).run(Tally(shown).hear)
    result = _result(finished)
    if as_json:
        click.echo(json_line(result))
    else:
        tell_paths("These were left out:", _left_out(result))
        tell_paths("These could not be backed up as they are:", finished.errors)
        _show(result)
    ctx.exit(EXIT_INCOMPLETE if result["errors"] else 0)


def _result(finished: Finished) -> dict[str, Any]:
    try:
        result: dict[str, Any] = json.loads(finished.json)
    except ValueError as error:
        raise JobFailed(
            "bad-outcome",
            "the backup is done, but its result is not JSON",
            remedy="use the same release on every host",
        ) from error
    failed = [{**path_fields(path), "error": why} for path, why in finished.errors]
    result["errors"] = max(int(result.get("errors", 0)), len(failed))
    return result | {
        "seconds": round(finished.seconds, 3),
        "kms_calls": finished.kms_calls,
        "failed": failed,
    }


def _left_out(result: dict[str, Any]) -> list[tuple[bytes, str]]:
    return [(os.fsencode(str(each["path"])), str(each["why"])) for each in result.get("left_out", ())]


def _show(result: dict[str, Any]) -> None:
    summary(
        {
            "snapshot": result.get("snapshot", "?"),
            "files": f"{result.get('files', 0)} in {result.get('dirs', 0)} folders, {size(result.get('bytes', 0))}",
            "read": size(result.get("bytes_read", 0)),
            "stored": f"{size(result.get('bytes_stored', 0))} in {result.get('chunks_new', 0)} new chunks, "
            f"{result.get('chunks_reused', 0)} were there already",
            "time": f"{result['seconds']:.1f} s, {result['kms_calls']} KMS calls",
        }
    )
