"""`strongroom ls`."""

import click

from client.answer import untold
from client.arguments import LATEST, snapshot_filter, snapshot_path
from client.entries import entry_fields, entry_words
from client.filters import filter_options
from client.installation import Installation
from client.listing import list_entries
from client.output import JsonArray, json_line, json_option, print_lines, tell_snapshot
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
        if not as_json:
            print_lines(map(entry_words, lines))
            return
        with JsonArray() as array:
            for line in lines:
                array.item(json_line(entry_fields(line)))
