"""`strongroom jobs`."""

import click

from client.installation import Installation
from client.listing import ask
from client.output import json_line, json_option, table, time_of_ms, to_the_second
from client.session import open_session


@click.command(epilog="Example: strongroom jobs")
@json_option
def command(as_json: bool) -> None:
    """Show the newest jobs of the ledger and how they went, and which schedule asked for them, if one did."""
    with open_session(Installation.open()) as session:
        lines = [
            {**line, "created": time_of_ms(line.get("created")), "finished": time_of_ms(line.get("finished"))}
            for line in ask(session, "jobs")
        ]
    if as_json:
        click.echo(json_line(lines))
        return
    table(
        ("ID", "KIND", "VAULT", "STATE", "CODE", "CREATED", "FINISHED", "ATTEMPTS", "SCHEDULE"),
        [
            (
                str(line.get("id", ""))[:12],
                line.get("kind", ""),
                line.get("vault", ""),
                line.get("state", ""),
                line.get("code") or "-",
                to_the_second(line["created"]),
                to_the_second(line["finished"]),
                line.get("attempts", 0),
                line.get("schedule") or "-",
            )
            for line in lines
        ],
    )
