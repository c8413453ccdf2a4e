"""`strongroom init`."""

import click

from client.installation import initialise
from client.output import json_line, json_option
from config.home import Home


@click.command(epilog="Example: strongroom init")
@click.option(
    "--passphrase",
    is_flag=True,
    help="Lock the local keystore with a passphrase (asked, or from STRONGROOM_KMS_PASSPHRASE) in place of a key file.",
)
@json_option
def command(passphrase: bool, as_json: bool) -> None:
    """Make a home: one identity for each role, the registry, config.toml and the local keystore."""
    home = Home.from_env()
    registry = initialise(home, passphrase=passphrase)
    if as_json:
        click.echo(json_line({"home": str(home.root), "tenant": registry.tenant.hex()}))
        return
    click.echo(f"Strongroom is ready in {home.root}")
    click.echo("Next: strongroom vault create NAME --repo file:///path --kms local-kms://NAME")
