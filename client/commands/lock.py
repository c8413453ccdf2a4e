"""`strongroom lock extend`."""

import json
from typing import Any

import click

from client.arguments import has_lock
from client.errors import BadArgument, JobFailed
from client.installation import Installation
from client.job import Job
from client.output import EXIT_INCOMPLETE, json_line, json_option, summary
from client.progress import OBJECTS, Tally, meter
from client.session import open_session
from crypto import job as jobs


@click.group()
def command() -> None:
    """Extend the locks of a vault's objects (Object Lock)."""


@command.command(epilog="Example: strongroom lock extend documents")
@click.argument("vault")
@json_option
@click.pass_context
def extend(ctx: click.Context, vault: str, as_json: bool) -> None:
    """Lock every object that a snapshot of VAULT needs for the vault's whole retention from now on.

    What is locked for most of it already is left as it is. A scheduler that runs all the time does this by itself.
    """
    installation = Installation.open()
    entry = installation.vault(vault)
    if not has_lock(entry.repo):
        raise BadArgument(
            f"the objects of {vault} have no locks",
            remedy="a vault has them whose URI says lock= and retention=",
        )

    def make_spec(requester: bytes) -> jobs.Spec:
        return jobs.ExtendSpec(entry.repo, requester)

    with (
        open_session(installation) as session,
        meter("extending", wanted=not as_json, of=OBJECTS) as shown_on,
    ):
        finished = Job(session, jobs.EXTEND, entry.id, make_spec).run(Tally(shown_on).hear)
    try:
        found: dict[str, Any] = json.loads(finished.json)
    except ValueError as error:
        raise JobFailed("bad-outcome", "the locks are extended, but the result is not JSON") from error
    found |= {"seconds": round(finished.seconds, 3), "kms_calls": finished.kms_calls}
    if as_json:
        click.echo(json_line(found))
    else:
        summary(found)
    ctx.exit(EXIT_INCOMPLETE if found.get("missing") or found.get("unreadable") else 0)
