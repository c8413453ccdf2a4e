"""`strongroom vault create | add | attach | forget | list`."""

import sys

import click

from client.arguments import host_name, kms_uri, opaque_id, repository_uri, vault_name
from client.errors import BadArgument
from client.installation import Installation, read_registry, vault_named
from client.output import json_line, json_option, table
from client.vaults import (
    add_vault,
    attach_vault,
    command_again,
    create_vault,
    forget_vault,
    is_operators,
    require_unused,
)
from config.home import Home
from crypto.registry import VaultEntry

_repo = click.option(
    "--repo",
    required=True,
    metavar="URI",
    help="The repository: file:///path or s3://bucket/prefix?profile=NAME.",
)
_kms = click.option("--kms", required=True, metavar="URI", help="The CMK: local-kms://NAME or aws-kms://ARN.")


@click.group()
def command() -> None:
    """Make, attach, forget and list vaults."""


@command.command(
    epilog="Example: strongroom vault create documents --repo file:///backup/documents --kms local-kms://documents"
)
@click.argument("name")
@_repo
@_kms
@json_option
def create(name: str, repo: str, kms: str, as_json: bool) -> None:
    """Make the vault NAME in a new or empty folder, or below a free prefix of a bucket.

    A CMK of the local KMS is made if there is none. A vault that exists with the same URIs is left as it is.
    """
    entry, made = create_vault(Installation.open(), vault_name(name), repository_uri(repo), kms_uri(kms))
    if as_json:
        click.echo(json_line({**_fields(entry), "made": made}))
    elif made:
        _show(entry, "made", as_json=False)
    else:
        _show(entry, "exists already, with this repository and CMK", as_json=False)


@command.command(
    epilog="Example: strongroom vault add web --repo file:///backup/web --kms local-kms://web --host web1"
)
@click.argument("name")
@_repo
@_kms
@click.option("--host", default="", help="The host that reads what is backed up; default: any backup worker.")
@click.option(
    "--id", "vault_id", metavar="HEX", help="Of a vault that exists, with --tenant; default: a new one."
)
@click.option("--tenant", metavar="HEX", help="To which that vault belongs; `vault forget` shows both.")
@json_option
def add(
    *, name: str, repo: str, kms: str, host: str, vault_id: str | None, tenant: str | None, as_json: bool
) -> None:
    """Register the vault NAME and nothing else, where an installation on several hosts keeps its registry.

    Once the copies of the registry are renewed, `strongroom vault create`, with the same words, makes it.

    \f
    Raises:
        UsageError: one id without the other.
        BadArgument, VaultExists: it cannot be registered so.
    """
    if (vault_id is None) != (tenant is None):
        raise click.UsageError("give --id and --tenant together")
    ids = (opaque_id(vault_id), opaque_id(tenant)) if vault_id is not None and tenant is not None else None
    entry = add_vault(
        Home.from_env(), vault_name(name), repository_uri(repo), kms_uri(kms), host_name(host), ids
    )
    _show(entry, "registered", as_json=as_json)


@command.command(
    epilog="Example: strongroom vault attach documents --repo file:///backup/documents --kms local-kms://documents"
)
@click.argument("name")
@_repo
@_kms
@json_option
def attach(name: str, repo: str, kms: str, as_json: bool) -> None:
    """Use an existing repository as the vault NAME; all that is needed besides it is its CMK."""
    entry = attach_vault(Installation.open(), vault_name(name), repository_uri(repo), kms_uri(kms))
    _show(entry, "attached", as_json=as_json)


@command.command(epilog="Example: strongroom vault forget documents")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Also while jobs of it run, or schedules name it.")
@json_option
def forget(name: str, yes: bool, force: bool, as_json: bool) -> None:
    """Take the vault NAME out of this home's registry. Its repository and its keys stay as they are.

    Where the key-broker runs, that ends the release of its keys at once: jobs of it fail at the next one they need.
    """
    home = Home.from_env()
    entry = vault_named(read_registry(home), name)
    if not force:
        require_unused(home, entry)
    if not yes:
        _confirm(home, entry)
    forget_vault(home, entry)
    again = command_again(home, entry)
    if as_json:
        click.echo(json_line({**_fields(entry), "again": again}))
        return
    click.echo(
        f"vault {entry.name} forgotten ({entry.id.hex()}); {entry.repo} and {entry.kms} are as they were"
    )
    click.echo(f"To have it back: {again}")
    if again.startswith("strongroom vault add"):
        click.echo(
            "Next: strongroom registry export FILE, and on every other host: strongroom registry import FILE"
        )


def _confirm(home: Home, entry: VaultEntry) -> None:
    """Ask the person.

    Raises:
        BadArgument: nobody can be asked.
        Abort: no.
    """
    if not sys.stdin.isatty():
        raise BadArgument("nobody is there to confirm it", remedy="say --yes")
    if not is_operators(home):
        click.echo(
            "Its jobs and the scheduler's schedules are not seen from here: look on a client first.", err=True
        )
    click.confirm(f"Forget the vault {entry.name} ({entry.repo}) here?", abort=True, err=True)


@command.command("list", epilog="Example: strongroom vault list")
@json_option
def list_vaults(as_json: bool) -> None:
    """List the vaults of this home."""
    vaults = Installation.open().registry.vaults
    if as_json:
        click.echo(json_line([_fields(entry) for entry in vaults]))
    elif vaults:
        table(("NAME", "REPOSITORY", "CMK"), [(entry.name, entry.repo, entry.kms) for entry in vaults])
    else:
        click.echo("no vaults yet; make one with `strongroom vault create`", err=True)


def _show(entry: VaultEntry, done: str, *, as_json: bool) -> None:
    click.echo(json_line(_fields(entry)) if as_json else f"vault {entry.name} {done} ({entry.id.hex()})")


def _fields(entry: VaultEntry) -> dict[str, str]:
    return {
        "name": entry.name,
        "vault": entry.id.hex(),
        "tenant": entry.tenant.hex(),
        "repo": entry.repo,
        "kms": entry.kms,
        "host": entry.host,
    }
