"""`strongroom down`."""

import click

from client.output import json_line, json_option
from client.stack import stop_kept
from config.home import Home


@click.command(epilog="Example: strongroom down")
@json_option
def command(as_json: bool) -> None:
    """Stop the stack that is kept up; returns when none of its processes is left."""
    info = stop_kept(Home.from_env())
    click.echo(json_line({"pid": info.pid}) if as_json else "the stack is down")
