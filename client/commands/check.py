"""`strongroom check`."""

import json
from typing import Any

import click

from client.arguments import read_subset
from client.checked import last_line, show
from client.errors import JobFailed
from client.installation import Installation
from client.job import Job
from client.output import EXIT_INCOMPLETE, json_line, json_option
from client.progress import OBJECTS, Tally, meter
from client.session import open_session
from crypto import job as jobs


@click.command(
    epilog="Example: strongroom check documents --read-data; strongroom check documents --read-data-subset 5%"
)
@click.argument("vault")
@click.option("--read-data", is_flag=True, help="Open every chunk as well; reads the whole repository.")
@click.option(
    "--read-data-subset",
    "subset",
    metavar="N/T|P%|SIZE",
    default="",
    help="Open the chunks of some packs: part N of T, the same packs each time; or packs drawn at random, "
    "P percent of them or SIZE bytes (K, M, G, T).",
)
@json_option
@click.pass_context
def command(ctx: click.Context, vault: str, read_data: bool, subset: str, as_json: bool) -> None:
    """Verify the repository of VAULT: every object's structure, and the chunks' content if it is to be read.

    The last line says whether all is well. The exit code is 3 when something is damaged.

    \f
    Raises:
        UsageError: two ways of reading at once.
        JobFailed and others: see `client.job`.
    """
    if read_data and subset:
        raise click.UsageError("give --read-data or --read-data-subset, not both")
    part = read_subset(subset) if subset else None
    installation = Installation.open()
    entry = installation.vault(vault)

    def make_spec(requester: bytes) -> jobs.Spec:
        return jobs.CheckSpec(entry.repo, requester, read_data or part is not None, part)

    with open_session(installation) as session, meter("checking", wanted=not as_json, of=OBJECTS) as shown_on:
        finished = Job(session, jobs.CHECK, entry.id, make_spec).run(Tally(shown_on).hear)
    try:
        found: dict[str, Any] = json.loads(finished.json)
    except ValueError as error:
        raise JobFailed(
            "bad-outcome",
            "the check is done, but its result is not JSON",
            remedy="use the same release on every host",
        ) from error
    found |= {"seconds": round(finished.seconds, 3), "kms_calls": finished.kms_calls}
    if as_json:
        click.echo(json_line(found | {"message": last_line(found)}))
    else:
        show(found)
    ctx.exit(EXIT_INCOMPLETE if found.get("errors") else 0)
