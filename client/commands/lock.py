"""`strongroom lock extend`."""

import json
from typing import Any

import click

from client.arguments import has_lock
from client.checked import extended_line, extended_numbers, tell_hidden
from client.errors import BadArgument, JobFailed
from client.installation import Installation
from client.job import Job
from client.output import EXIT_INCOMPLETE, json_line, json_option, shown, summary
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

    The last line says whether all is well; the exit code is 3 when something is missing, cannot be read or is hidden.
    What is locked for most of it already is left as it is. A scheduler that runs all the time does this by itself.

    \f
    Raises:
        BadArgument: the vault has no locks.
        JobFailed and others: see `client.job`.
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
        raise JobFailed(
            "bad-outcome",
            "the locks are extended, but the result is not JSON",
            remedy="use the same release on every host",
        ) from error
    found |= {"seconds": round(finished.seconds, 3), "kms_calls": finished.kms_calls}
    if as_json:
        click.echo(json_line(found | {"message": extended_line(found)}))
    else:
        for name in found.get("missing_objects", ()):
            click.echo(f"{shown(str(name))}: it is missing", err=True)
        tell_hidden(found)
        summary(extended_numbers(found))
        click.echo(extended_line(found))
    ctx.exit(0 if found.get("verdict") == "extended" else EXIT_INCOMPLETE)
