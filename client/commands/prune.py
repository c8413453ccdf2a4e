"""`strongroom prune`."""

import json
import re
from collections.abc import Callable
from typing import Any, Final

import click

from client.checked import count
from client.errors import JobFailed
from client.installation import Installation
from client.job import Job
from client.output import json_line, json_option, size, summary
from client.progress import Tally, meter
from client.session import Session, open_session
from config.keep import MAX_UNUSED
from crypto import job as jobs
from crypto import notes
from crypto.registry import VaultEntry

# Digits only: `float` would also read 1_0, digits of other scripts, and nan.
_PERCENT: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,9})?)%?")


class _Share(click.ParamType[float]):
    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Percent of the stored bytes."""
        found = _PERCENT.fullmatch(str(value))
        percent = float(found[1]) if found else 101.0
        if percent > 100:
            self.fail(f"{str(value)!r} is no share of 0% to 100%: write such as 5% or 0.5%", param, ctx)
        return percent


@click.command(epilog="Example: strongroom prune documents")
@click.argument("vault")
@click.option(
    "--max-unused",
    type=_Share(),
    default=MAX_UNUSED,
    metavar="PERCENT",
    help="What may stay unused, of all that is stored, in packs of which something is used (5%).",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be freed.")
@json_option
def command(vault: str, max_unused: float, dry_run: bool, as_json: bool) -> None:
    """Free what no snapshot of VAULT needs.

    Backups and restores go on meanwhile. Nothing is removed before all of them have ended that had begun when it was
    found: until then this command waits. Ctrl-C calls the prune off; should the command be killed, the prune goes on,
    if the stack stays up.
    """
    installation = Installation.open()
    entry = installation.vault(vault)
    with open_session(installation) as session, meter("pruning", wanted=not as_json) as shown_on:
        found = prune(session, entry, Tally(shown_on).hear, max_unused=max_unused, dry_run=dry_run)
    if as_json:
        click.echo(json_line(found))
    else:
        show(found)


def prune(
    session: Session,
    entry: VaultEntry,
    hear: Callable[[notes.Note], None],
    *,
    max_unused: float = MAX_UNUSED,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Prune a vault; returns what came of it.

    Raises:
        JobFailed and others: see `client.job`.
    """

    def make_spec(requester: bytes) -> jobs.Spec:
        return jobs.PruneSpec(entry.repo, requester, max_unused / 100, dry_run)

    # A stack of this command's own ends with it, and the job with that.
    job = Job(session, jobs.PRUNE, entry.id, make_spec, detached=session.stack is None)
    finished = job.run(hear)
    try:
        found: dict[str, Any] = json.loads(finished.json)
    except ValueError as error:
        raise JobFailed(
            "bad-outcome",
            "the vault is pruned, but the result is not JSON",
            remedy="use the same release on every host",
        ) from error
    return found | {"seconds": round(finished.seconds, 3), "kms_calls": finished.kms_calls}


def show(found: dict[str, Any]) -> None:
    """Print what came of a prune: the numbers in words, and one last line."""
    dry = bool(found.get("dry_run"))
    freed, packs = size(float(found.get("bytes", 0))), count(int(found.get("packs", 0)), "pack")
    repacked = int(found.get("repack_packs", 0))
    gain = size(float(found.get("repack_frees", 0)))
    moved = f"{count(repacked, 'pack')}, {size(float(found.get('repack_bytes', 0)))} in use, to free {gain}"
    summary(
        {
            "snapshots": found.get("snapshots", 0),
            "would be freed" if dry else "freed": f"{packs}, {freed}",
            "manifests": found.get("manifests", 0),
            **({"repacked first": moved} if repacked else {}),
            "packs that stay": found.get("packs_left", 0),
            **({} if dry else {"index rewritten": count(int(found.get("index_objects", 0)), "object")}),
            **({"dead uploads": uploads} if (uploads := int(found.get("uploads", 0))) else {}),
            "time": f"{found.get('seconds', 0):.1f} s, {found.get('kms_calls', 0)} KMS calls",
        }
    )
    click.echo(last_line(found))


def last_line(found: dict[str, Any]) -> str:
    """What came of a prune, in one line."""
    what = (
        f"{count(int(found.get('packs', 0)), 'pack')} and {count(int(found.get('manifests', 0)), 'manifest')}"
    )
    freed = float(found.get("bytes", 0))
    if not found.get("dry_run"):
        return f"{what} that no snapshot needs are removed: {size(freed)} freed"
    total = size(freed + float(found.get("repack_frees", 0)))
    return f"nothing was removed: a prune would remove {what}, and free {total} in all"
