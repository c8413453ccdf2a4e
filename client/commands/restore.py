"""`strongroom restore`."""

from pathlib import Path
from typing import Any

import click

from client.answer import untold
from client.arguments import (
    LATEST,
    bucket_target,
    patterns,
    repository_uri,
    require_objects,
    snapshot_filter,
    snapshot_path,
)
from client.delivery import delivering_to
from client.errors import code_of
from client.filters import filter_options
from client.installation import Installation
from client.listing import list_snapshots
from client.output import (
    EXIT_INCOMPLETE,
    json_line,
    json_option,
    path_fields,
    size,
    summary,
    tell_paths,
    tell_snapshot,
)
from client.progress import meter
from client.restore.run import Restore, Restored
from client.restore.target import FolderTarget, Target
from client.restore.wanted import Wanted
from client.session import Session, open_session
from sources.filesystem.target import check_target
from sources.s3.place import BucketPath


@click.command(
    epilog="Example: strongroom restore documents latest:/home/me/documents --target /tmp/documents"
)
@click.argument("vault")
@click.argument("snapshot", metavar="SNAPSHOT[:PATH]")
@click.option(
    "--target",
    required=True,
    metavar="DIR|URI",
    help="A new or empty folder; or s3://bucket/prefix?options, for what was backed up from a bucket.",
)
@click.option(
    "--include", "includes", multiple=True, metavar="PATTERN", help="Only what matches (restic's patterns)."
)
@click.option("--exclude", "excludes", multiple=True, metavar="PATTERN", help="Not what matches.")
@filter_options
@click.option("--overwrite", is_flag=True, help="Objects that are in the bucket may be replaced.")
@click.option(
    "--delivery",
    metavar="URI",
    help="Where workers put parcels for this command; one of theirs. Default: the setting [delivery] area.",
)
@json_option
@click.pass_context
def command(  # noqa: PLR0913 - one for each option
    ctx: click.Context,
    *,
    vault: str,
    snapshot: str,
    target: str,
    includes: tuple[str, ...],
    excludes: tuple[str, ...],
    hosts: tuple[str, ...],
    tags: tuple[str, ...],
    paths: tuple[str, ...],
    overwrite: bool,
    delivery: str | None,
    as_json: bool,
) -> None:
    """Restore a snapshot of VAULT below DIR, each file under its original path; or the content of PATH into DIR.

    SNAPSHOT is an id, a prefix of one, or latest: the newest that the options let through and that has PATH.

    Objects go back to a bucket with all that S3 said of them, or into a folder.

    \f
    Raises:
        BadArgument, TargetNotEmpty, TargetUnusable: nothing can be restored so; nothing was started.
        JobFailed and others: see `client.job`.
    """
    installation = Installation.open()
    if delivery:
        installation = delivering_to(installation, repository_uri(delivery))
    asked = snapshot_path(snapshot)
    wanted = Wanted(
        installation.vault(vault),
        asked.snapshot,
        asked.path,
        patterns(includes),
        patterns(excludes),
        snapshot_filter(hosts, tags, paths, asked.snapshot),
    )
    place = bucket_target(target, overwrite=overwrite)
    if place is None:
        check_target(Path(target))
    with open_session(installation) as session:
        landing = (
            _bucket(session, wanted, place, overwrite) if place else FolderTarget(Path(target).absolute())
        )
        tell = tell_snapshot if wanted.snapshot == LATEST else untold
        done = Restore(session, wanted, landing, tell).run(lambda: meter("restoring", wanted=not as_json))
    if done.trouble is not None and not done.files:
        raise done.trouble
    result = _result(done)
    if as_json:
        click.echo(json_line(result))
    else:
        _show(done)
    ctx.exit(_exit_code(done))


def _bucket(session: Session, wanted: Wanted, place: BucketPath, overwrite: bool) -> Target:
    """A bucket that can be restored to, for a snapshot that can be restored to one.

    Raises:
        BadArgument: the snapshot is of files.
        TargetNotEmpty, StoreError: the bucket is not to be restored to.
    """
    from client.restore.bucket import BucketTarget  # most restores need no S3, whose library is slow to load

    require_objects(list_snapshots(session, wanted.vault, wanted.filter), wanted.snapshot, wanted.path)
    return BucketTarget(place, session.installation.settings.store, overwrite=overwrite)


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
