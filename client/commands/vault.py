"""`strongroom vault create | attach | list`."""

import click

from client.arguments import host_name, kms_uri, repository_uri, vault_name
from client.installation import Installation
from client.output import json_line, json_option, table
from client.vaults import add_vault, attach_vault, create_vault
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
    """Make, attach and list vaults."""


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
@json_option
def add(name: str, repo: str, kms: str, host: str, as_json: bool) -> None:
    """Register the vault NAME and nothing else, where an installation on several hosts keeps its registry.

    Once the copies of the registry are renewed, `strongroom vault create`, with the same words, makes it.
    """
    entry = add_vault(Home.from_env(), vault_name(name), repository_uri(repo), kms_uri(kms), host_name(host))
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
