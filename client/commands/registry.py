"""`strongroom registry new | export | import`."""

import secrets
from pathlib import Path

import click

from client.errors import AlreadyInitialised, EnrolmentRefused
from client.identities import read_registry_copy
from client.installation import read_registry, replace_registry, write_private
from client.output import json_line, json_option
from client.template import CONFIG_TOML
from config.home import Home
from crypto.enrolment import fingerprint
from crypto.registry import MAX_REGISTRY, Registry


@click.group()
def command() -> None:
    """Keep the registry: one host has it, all others have a copy.

    It says who is enrolled and which vaults there are. It holds no secret; whoever can replace it decides who is
    believed, so compare the fingerprint when a copy arrives.
    """


@command.command(epilog="Example: strongroom registry new")
@json_option
def new(as_json: bool) -> None:
    """Make an empty registry in this home, for an installation on several hosts (`strongroom init` is for one).

    \f
    Raises:
        AlreadyInitialised: there is one.
    """
    home = Home.from_env()
    if home.registry_file.exists():
        raise AlreadyInitialised(f"{home.root} has a registry already", remedy="use it")
    registry = Registry(tenant=secrets.token_bytes(16))
    _prepare(home)
    write_private(home.registry_file, registry.encode())
    _show(registry, "made", as_json=as_json)


@command.command(epilog="Example: strongroom registry export registry.json")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def export(file: Path, as_json: bool) -> None:
    """Write a copy of this home's registry to FILE, and show its fingerprint."""
    registry = read_registry(Home.from_env())
    write_private(file, registry.encode())
    _show(registry, "exported", as_json=as_json)


@command.command(
    "import", epilog="Example: strongroom registry import registry.json --fingerprint 'c0ff ee00 ...'"
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--fingerprint", "expected", default="", help="Refuse any other copy than that.")
@json_option
def import_(file: Path, expected: str, as_json: bool) -> None:
    """Take FILE as this home's copy of the registry, unless it is older. Running roles follow at once.

    \f
    Raises:
        EnrolmentRefused: not the copy that was meant, or an older one.
        BadArgument, Malformed: not a registry.
    """
    home = Home.from_env()
    registry = Registry.decode(read_registry_copy(file, MAX_REGISTRY))
    found = fingerprint(registry.encode())
    if expected and expected.replace(" ", "").lower() != found.replace(" ", ""):
        raise EnrolmentRefused(
            f"the copy has the fingerprint {found}", remedy="export it again and carry it another way"
        )
    _prepare(home)
    replace_registry(home, registry)
    _show(registry, "imported", as_json=as_json)


def _prepare(home: Home) -> None:
    home.create()
    if not home.settings_file.exists():
        write_private(home.settings_file, CONFIG_TOML.encode())


def _show(registry: Registry, done: str, *, as_json: bool) -> None:
    found = fingerprint(registry.encode())
    numbers = {
        "identities": len(registry.identities),
        "vaults": len(registry.vaults),
        "serial": registry.serial,
    }
    if as_json:
        click.echo(json_line({**numbers, "tenant": registry.tenant.hex(), "fingerprint": found}))
        return
    click.echo(f"registry {done}: {numbers['identities']} identities, {numbers['vaults']} vaults")
    click.echo(f"changes: {numbers['serial']}")
    click.echo(f"tenant: {registry.tenant.hex()}")
    click.echo(f"fingerprint: {found}")
