"""`strongroom schedule list`."""

import click

from client.installation import Installation
from client.listing import ask
from client.output import json_line, json_option, table, tell_config_changed, time_of_ms, to_the_second
from client.session import open_session
from config.stack_file import config_changed, running_stack


@click.group()
def command() -> None:
    """Show the schedules of config.toml."""


@command.command("list", epilog="Example: strongroom schedule list")
@json_option
def list_schedules(as_json: bool) -> None:
    """List the schedules with their last and next runs. They run while the stack is up."""
    installation = Installation.open()
    info = running_stack(installation.home)
    if info is not None and config_changed(installation.home, info):
        tell_config_changed()
    with open_session(installation) as session:
        lines = [
            {**line, "last": time_of_ms(line.get("last")), "next": time_of_ms(line.get("next"))}
            for line in ask(session, "schedules")
        ]
    if as_json:
        click.echo(json_line(lines))
    elif lines:
        table(
            ("NAME", "VAULT", "CRON", "TIMEZONE", "LAST", "STATE", "NEXT"),
            [
                (
                    line.get("name", ""),
                    line.get("vault", ""),
                    line.get("cron", ""),
                    line.get("timezone", ""),
                    to_the_second(line["last"], "never"),
                    line.get("problem") or line.get("last_state") or "-",
                    to_the_second(line["next"], "never"),
                )
                for line in lines
            ],
        )
    else:
        click.echo("there are no schedules; config.toml has an example", err=True)
