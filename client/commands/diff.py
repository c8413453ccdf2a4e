"""`strongroom diff`."""

from typing import Any

import click

from client.answer import Answer, Line, answered
from client.arguments import inner_path, snapshot_name
from client.installation import Installation
from client.listing import path_of
from client.output import JsonArray, json_line, json_option, path_fields, print_lines, shown, size, summary
from client.session import open_session
from crypto import job as jobs


@click.command(epilog="Example: strongroom diff documents 1f7efa10 latest /home/me/documents")
@click.argument("vault")
@click.argument("first", metavar="SNAPSHOT")
@click.argument("second", metavar="SNAPSHOT")
@click.argument("path", required=False)
@click.option("--metadata", is_flag=True, help="Also show what differs in nothing but metadata.")
@json_option
def command(
    vault: str,
    first: str,
    second: str,
    path: str | None,
    metadata: bool,
    as_json: bool,
) -> None:
    """Show what differs from the first to the second SNAPSHOT of VAULT, at and below PATH if one is given.

    \b
    +  added
    -  removed
    M  content changed (of a link: where it points)
    T  another type of thing
    U  metadata changed: mode, owner, time, attributes (with --metadata)
    ?  content changed although all metadata, the time too, is as before

    What both snapshots have in the same list of files is not read at all.
    """
    installation = Installation.open()
    entry = installation.vault(vault)
    names = snapshot_name(first), snapshot_name(second)
    below = inner_path(path) if path else b""

    def make_spec(requester: bytes, area: str) -> jobs.Spec:
        return jobs.DiffSpec(entry.repo, requester, *names, below, metadata, area)

    with open_session(installation) as session, answered(session, jobs.DIFF, entry, make_spec) as answer:
        if as_json:
            _print_json(answer)
            return
        print_lines(map(_words, answer.lines()))
        _summarise(answer.outcome)


def _words(line: Line) -> str:
    slash = "/" if line.get("type") == "dir" else ""
    return f"{shown(str(line.get('modifier', ''))):<4} {shown(path_of(line))}{slash}"


def _print_json(answer: Answer) -> None:
    with JsonArray(before='{"changes": [', after=f"], {json_line(answer.outcome)[1:]}") as array:
        for line in answer.lines():
            array.item(json_line({**path_fields(path_of(line)), **line}))


def _summarise(outcome: dict[str, Any]) -> None:
    added, removed = outcome["added"], outcome["removed"]
    summary(
        {
            "snapshots": f"{outcome['first'][:12]} to {outcome['second'][:12]}",
            "files": f"{added['files']} added, {removed['files']} removed, {outcome['changed_files']} changed",
            "dirs": f"{added['dirs']} added, {removed['dirs']} removed",
            "others": f"{added['others']} added, {removed['others']} removed",
            "types": f"{outcome['type_changes']} changed",
            "metadata": f"{outcome['metadata_changes']} changed in nothing else",
            "bytes": f"{size(added['bytes'])} added, {size(removed['bytes'])} removed",
        }
    )
