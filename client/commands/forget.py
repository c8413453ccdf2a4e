"""`strongroom forget`."""

import json
import re
from typing import Any

import click

from client.arguments import MIN_PREFIX, snapshot_filter
from client.commands.prune import prune, show
from client.errors import BadArgument, JobFailed
from client.filters import filter_options
from client.installation import Installation
from client.job import Job
from client.output import EXIT_INCOMPLETE, json_line, json_option, shown, table, time_of_ns, to_the_second
from client.policy import keep_policy, policy_options
from client.progress import Tally, meter
from client.session import open_session
from crypto import job as jobs
from crypto.job import ANY, NO_POLICY, KeepPolicy, SnapshotFilter

_ID = re.compile(r"[0-9a-f]{4,32}")


@click.command(epilog="Example: strongroom forget documents --keep-daily 7 --keep-weekly 5 --keep-monthly 12")
@click.argument("vault")
@click.argument("snapshots", nargs=-1, metavar="[SNAPSHOT]...")
@policy_options
@filter_options
@click.option("--prune", is_flag=True, help="Then free what no snapshot needs, as `strongroom prune` does.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option(
    "--unsafe-allow-remove-all", "remove_all", is_flag=True, help="Let a host and paths be left without any."
)
@json_option
@click.pass_context
def command(
    ctx: click.Context, /, vault: str, snapshots: tuple[str, ...], as_json: bool, **options: Any
) -> None:
    """Take snapshots out of VAULT: those named by their ids, or those that no --keep option keeps.

    The policy is applied to the snapshots of each host and set of paths on their own, in UTC; what --host, --tag and
    --path leave out stays, and so does what is more than a day in the future. The data stay in the repository until it
    is pruned.

    A [[retention]] table in config.toml has a policy applied again and again, by a schedule.

    \f
    Raises:
        BadArgument: what is to go is not said, or said twice.
        JobFailed and others: see `client.job`.
    """
    policy = keep_policy(options)
    wanted = snapshot_filter(options["hosts"], options["tags"], options["paths"])
    _require_sense(snapshots, policy, wanted, remove_all=options["remove_all"])
    installation = Installation.open()
    entry = installation.vault(vault)

    def make_spec(requester: bytes) -> jobs.Spec:
        return jobs.ForgetSpec(
            entry.repo, requester, snapshots, policy, wanted, options["dry_run"], options["remove_all"]
        )

    with open_session(installation) as session, meter("forgetting", wanted=not as_json) as shown_on:
        finished = Job(session, jobs.FORGET, entry.id, make_spec).run(Tally(shown_on).hear)
        freed = (
            prune(session, entry, Tally(shown_on).hear, dry_run=options["dry_run"])
            if options["prune"]
            else None
        )
    try:
        found: dict[str, Any] = json.loads(finished.json)
    except ValueError as error:
        raise JobFailed(
            "bad-outcome",
            "snapshots are forgotten, but the result is not JSON",
            remedy="use the same release on every host",
        ) from error
    if as_json:
        click.echo(json_line(_fields(found) | ({} if freed is None else {"prune": freed})))
    else:
        _show(found)
        if freed is not None:
            show(freed)
    ctx.exit(EXIT_INCOMPLETE if found.get("errors") else 0)


def _require_sense(
    snapshots: tuple[str, ...], policy: KeepPolicy, wanted: SnapshotFilter, *, remove_all: bool
) -> None:
    for text in snapshots:
        if not _ID.fullmatch(text):
            raise BadArgument(
                f"{text!r} is not the id of a snapshot", remedy=f"give at least {MIN_PREFIX} digits of it"
            )
    if snapshots and (policy != NO_POLICY or wanted != ANY or remove_all):
        raise BadArgument(
            "snapshots are named, and a choice of them is described as well",
            remedy="give either ids, or --keep options and filters",
        )
    # To remove all of something, it has to be said of what.
    if not snapshots and policy == NO_POLICY and not (remove_all and wanted != ANY):
        raise BadArgument(
            "nothing says which snapshots to forget, or which to keep",
            remedy="name snapshots, or say what to keep, as --keep-daily 7",
        )


def _fields(found: dict[str, Any]) -> dict[str, Any]:
    lines = [
        {**{name: value for name, value in line.items() if name != "time_ns"}, "time": _time(line)}
        for line in found.get("snapshots", ())
    ]
    return {**found, "snapshots": lines}


def _time(line: dict[str, Any]) -> str | None:
    return time_of_ns(int(line["time_ns"])) if "time_ns" in line else None


def _show(found: dict[str, Any]) -> None:
    removing = "would go" if found.get("dry_run") else "gone"
    lines = found.get("snapshots", ())
    if lines:
        table(
            ("ID", "TIME", "HOST", "TAGS", "PATHS", "WHAT"),
            [
                (
                    str(line.get("id"))[:12],
                    to_the_second(_time(line)),
                    line.get("hostname", ""),
                    ",".join(line.get("tags", ())),
                    " ".join(line.get("paths", ())),
                    removing if line.get("removed") else f"kept: {', '.join(line.get('reasons', ()))}",
                )
                for line in lines
            ],
        )
    for each in found.get("unreadable", ()):
        click.echo(
            f"{shown(str(each.get('id')))} cannot be opened, and stays: {shown(str(each.get('error')))}",
            err=True,
        )
    left_out = int(found.get("left_out", 0))
    kept = f"{int(found.get('kept', 0)) - left_out} kept"
    click.echo(
        f"{found.get('removed')} {removing}, {kept}" + (f", {left_out} not looked at" if left_out else "")
    )
