"""`strongroom up`."""

import click

from client.errors import NotEmbedded
from client.installation import Installation
from client.output import json_line, json_option
from client.stack import start_kept


@click.command(epilog="Example: strongroom up --flower")
@click.option("--flower", is_flag=True, help="Serve Flower on loopback, read-only, behind a password.")
@json_option
def command(flower: bool, as_json: bool) -> None:
    """Start the stack and keep it up; returns when it is ready. Schedules run while it is up.

    \f
    Raises:
        NotEmbedded: there is a broker of one's own.
        StackFailed: see `client.stack.start_kept`.
    """
    installation = Installation.open()
    if installation.settings.broker.url:
        raise NotEmbedded(
            "config.toml names a broker, so there is no embedded stack to start",
            remedy="run each role with `strongroom worker`, or remove broker.url",
        )
    info = start_kept(installation.home, flower=flower)
    fields = {
        "pid": info.pid,
        "seconds": info.seconds,
        "flower_url": info.flower_url,
        "flower_user": info.flower_user,
        "flower_password": info.flower_password,
    }
    if as_json:
        click.echo(json_line(fields))
        return
    click.echo(f"the stack is up (process {info.pid}, ready after {info.seconds:.1f} s)")
    if info.flower_url:
        click.echo(f"Flower: {info.flower_url}  user {info.flower_user}  password {info.flower_password}")
