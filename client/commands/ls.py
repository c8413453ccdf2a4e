"""`strongroom ls`."""

import stat
from typing import Any

import click

from client.arguments import LATEST, snapshot_filter, snapshot_path
from client.filters import filter_options
from client.installation import Installation
from client.listing import Line, list_entries, path_of, untold
from client.output import json_line, json_option, path_fields, shown, tell_snapshot, time_of_ns, to_the_second
from client.session import open_session


@click.command(epilog="Example: strongroom ls documents latest:/home/me/documents")
@click.argument("vault")
@click.argument("snapshot", metavar="SNAPSHOT[:PATH]")
@filter_options
@json_option
def command(
    vault: str,
    snapshot: str,
    hosts: tuple[str, ...],
    tags: tuple[str, ...],
    paths: tuple[str, ...],
    as_json: bool,
) -> None:
    """List what is in a snapshot of VAULT, or below PATH in it. SNAPSHOT is an id, a prefix of one, or latest.

    That is the newest of those that the options let through, and that has anything at PATH.
    """
    installation = Installation.open()
    entry = installation.vault(vault)
    wanted = snapshot_path(snapshot)
    chosen = snapshot_filter(hosts, tags, paths, wanted.snapshot)
    tell = tell_snapshot if wanted.snapshot == LATEST else untold
    with open_session(installation) as session:
        lines = list_entries(session, entry, wanted.snapshot, wanted.path, chosen, tell)
        if as_json:
            click.echo(json_line([_fields(line) for line in lines]))
            return
        for line in lines:
            click.echo(_words(line))


def _fields(line: Line) -> dict[str, Any]:
    fields: dict[str, Any] = {**path_fields(path_of(line)), **line}
    if "mtime_ns" in line:
        fields["mtime"] = time_of_ns(int(line["mtime_ns"]))
    return fields


def _words(line: Line) -> str:
    path = shown(path_of(line))
    if "error" in line:
        return f"{'?' * 10} {path}  ({shown(str(line['error']))})"
    when = to_the_second(time_of_ns(int(line.get("mtime_ns", 0))))
    if "object" in line:
        kept = str(line["object"].get("storage_class", "STANDARD"))
        return f"{'object':<10} {shown(kept):<16} {line.get('size', 0):>12} {when} {path}"
    target = f" -> {shown(str(line['target']))}" if line.get("target") else ""
    owner = f"{line.get('user') or line.get('uid')}:{line.get('group') or line.get('gid')}"
    mode = stat.filemode(int(line.get("mode", 0)))
    return f"{mode} {shown(owner):<16} {line.get('size', 0):>12} {when} {path}{target}"
