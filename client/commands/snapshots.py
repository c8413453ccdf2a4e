"""`strongroom snapshots`."""

from typing import Any

import click

from client.installation import Installation
from client.listing import list_snapshots
from client.output import json_line, json_option, size, table, time_of_ns
from client.session import open_session


@click.command(epilog="Example: strongroom snapshots documents")
@click.argument("vault")
@json_option
def command(vault: str, as_json: bool) -> None:
    """List the snapshots of VAULT, oldest first."""
    installation = Installation.open()
    entry = installation.vault(vault)
    with open_session(installation) as session:
        lines = [_fields(line) for line in list_snapshots(session, entry)]
    if as_json:
        click.echo(json_line(lines))
    elif lines:
        table(
            ("ID", "TIME", "HOST", "FILES", "SIZE", "TAGS", "PATHS"),
            [
                (
                    line["id"][:12],
                    line["time"][:19],
                    line["hostname"],
                    line["files"],
                    size(line["bytes"]),
                    ",".join(line["tags"]),
                    " ".join(line["paths"]),
                )
                for line in lines
            ],
        )
    else:
        click.echo(f"the vault {vault} has no snapshots yet", err=True)


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
