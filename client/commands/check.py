"""`strongroom check`."""

import json
from typing import Any

import click

from client.errors import JobFailed
from client.installation import Installation
from client.job import Job
from client.output import EXIT_INCOMPLETE, json_line, json_option, shown, summary
from client.progress import Tally, meter
from client.session import open_session
from crypto import job as jobs


@click.command(epilog="Example: strongroom check documents --read-data")
@click.argument("vault")
@click.option("--read-data", is_flag=True, help="Open every chunk as well; reads the whole repository.")
@json_option
@click.pass_context
def command(ctx: click.Context, vault: str, read_data: bool, as_json: bool) -> None:
    """Verify the repository of VAULT: every object's structure, and with --read-data every chunk."""
    installation = Installation.open()
    entry = installation.vault(vault)

    def make_spec(requester: bytes) -> jobs.Spec:
        return jobs.CheckSpec(entry.repo, requester, read_data)

    with open_session(installation) as session, meter("checking", wanted=not as_json) as shown_on:
        finished = Job(session, jobs.CHECK, entry.id, make_spec).run(Tally(shown_on).hear)
    try:
        found: dict[str, Any] = json.loads(finished.json)
    except ValueError as error:
        raise JobFailed("bad-outcome", "the check is done, but its result is not JSON") from error
    found |= {"seconds": round(finished.seconds, 3), "kms_calls": finished.kms_calls}
    if as_json:
        click.echo(json_line(found))
    else:
        _show(found)
    ctx.exit(EXIT_INCOMPLETE if found.get("errors") else 0)


def _show(found: dict[str, Any]) -> None:
    for problem in found.get("problems", ()):
        click.echo(f"{shown(str(problem.get('object')))}: {shown(str(problem.get('error')))}", err=True)
        for touched in problem.get("touches", ()):
            click.echo(
                f"  touches {shown(str(touched.get('path')))} in {str(touched.get('snapshot'))[:12]}",
                err=True,
            )
    summary({name: value for name, value in found.items() if isinstance(value, int | float | str)})
