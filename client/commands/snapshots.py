"""`strongroom snapshots`."""

import os
from typing import Any

import click

from client.arguments import snapshot_filter
from client.filters import filter_options
from client.installation import Installation
from client.listing import list_snapshots
from client.output import (
    EXIT_INCOMPLETE,
    json_line,
    json_option,
    size,
    table,
    tell_paths,
    time_of_ns,
    to_the_second,
)
from client.session import open_session
from crypto.job import ANY


@click.command(epilog="Example: strongroom snapshots documents")
@click.argument("vault")
@filter_options
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    vault: str,
    hosts: tuple[str, ...],
    tags: tuple[str, ...],
    paths: tuple[str, ...],
    as_json: bool,
) -> None:
    """List the snapshots of VAULT, oldest first; those that cannot be opened come last, and make the exit code 3."""
    installation = Installation.open()
    entry = installation.vault(vault)
    wanted = snapshot_filter(hosts, tags, paths)
    with open_session(installation) as session:
        found = list_snapshots(session, entry, wanted)
    lines = [_fields(line) for line in found if "error" not in line]
    damaged = [{"id": str(line.get("id")), "error": str(line["error"])} for line in found if "error" in line]
    if as_json:
        click.echo(json_line([*lines, *damaged]))
    elif lines:
        table(
            ("ID", "TIME", "HOST", "FILES", "SIZE", "ERRORS", "TAGS", "PATHS"),
            [
                (
                    line["id"][:12],
                    to_the_second(line["time"]),
                    line["hostname"],
                    line["files"],
                    size(line["bytes"]),
                    line["errors"] or "",
                    ",".join(line["tags"]),
                    " ".join(line["paths"]),
                )
                for line in lines
            ],
        )
    elif not damaged:
        none = "no snapshots yet" if wanted == ANY else "no such snapshots"
        click.echo(f"the vault {vault} has {none}", err=True)
    if damaged and not as_json:
        tell_paths("These snapshots cannot be opened:", [(os.fsencode(d["id"]), d["error"]) for d in damaged])
    ctx.exit(EXIT_INCOMPLETE if damaged else 0)


def _fields(line: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": str(line.get("id", "")),
        "time": time_of_ns(int(line.get("time_ns", 0))),
        "paths": list(line.get("paths", ())),
        "tags": list(line.get("tags", ())),
        "files": int(line.get("files", 0)),
        "dirs": int(line.get("dirs", 0)),
        "bytes": int(line.get("bytes", 0)),
        "hostname": str(line.get("hostname", "")),
        "errors": int(line.get("errors", 0)),
    }
