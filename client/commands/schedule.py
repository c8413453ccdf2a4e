"""`strongroom schedule list`."""

import click

from client.answer import Line
from client.installation import Installation
from client.listing import ask
from client.output import json_line, json_option, table, tell_config_changed, time_of_ms, to_the_second
from client.session import open_session
from config.stack_file import config_changed, running_stack


@click.group()
def command() -> None:
    """Show what recurs by config.toml: its [[schedules]] and its [[retention]]."""


@command.command("list", epilog="Example: strongroom schedule list")
@json_option
def list_schedules(as_json: bool) -> None:
    """List backups and forgets that recur, with their last and next runs. They run while the stack is up."""
    installation = Installation.open()
    info = running_stack(installation.home)
    if info is None and not installation.settings.broker.url:
        click.echo("strongroom: no stack is up: nothing recurs until `strongroom up`", err=True)
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
            ("NAME", "WHAT", "VAULT", "CRON", "TIMEZONE", "LAST", "STATE", "NEXT"),
            [
                (
                    line.get("name", ""),
                    f"{line.get('kind', '')}{', prune' if line.get('prune') else ''}",
                    line.get("vault", ""),
                    line.get("cron", ""),
                    line.get("timezone", ""),
                    to_the_second(line["last"], "never"),
                    line.get("problem") or _state(line),
                    to_the_second(line["next"], "never"),
                )
                for line in lines
            ],
        )
    else:
        click.echo("there are no schedules; config.toml has an example", err=True)


def _state(line: Line) -> str:
    """How the last run stands, and the prune that followed it, with the code of what failed."""
    words = [_with_code(line.get("last_state"), line.get("last_code"))]
    if line.get("prune_state"):
        words.append(f"prune {_with_code(line['prune_state'], line.get('prune_code'))}")
    return ", ".join(words)


def _with_code(state: str | None, code: str | None) -> str:
    return f"{state or '-'} ({code})" if code else state or "-"
