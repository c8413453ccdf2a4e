"""`strongroom identity new | show`."""

import re
import socket
from pathlib import Path
from typing import Final

import click

from client.errors import BadArgument
from client.identities import PUBLIC_SUFFIX, make_identity, read_public
from client.output import json_line, json_option
from config.home import Home
from crypto.enrolment import PublicIdentity
from crypto.registry import ROLES

_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._-]*")
"""A name that can be that of a file: the public parts of several hosts meet where the registry is kept."""


@click.group()
def command() -> None:
    """Make the identity of a role on this host, and show its public part."""


@command.command(epilog="Example: strongroom identity new --role backup --name web1")
@click.option("--role", type=click.Choice(ROLES), required=True)
@click.option("--name", default="", help="What people call it; default: ROLE@this host.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where the private part goes; default: the place in STRONGROOM_HOME where the role looks for it.",
)
@json_option
def new(role: str, name: str, out: Path | None, as_json: bool) -> None:
    """Make an identity: FILE, which stays on this host and is its owner's alone, and FILE.pub, which is enrolled."""
    if out is None:
        home = Home.from_env()
        home.create()
        out = home.identities / role
    public = make_identity(role, name or f"{role}@{socket.gethostname()}", out)
    shown_at = out.with_name(out.name + PUBLIC_SUFFIX)
    if as_json:
        click.echo(json_line({**_fields(public), "private": str(out), "public": str(shown_at)}))
        return
    click.echo(f"private part: {out}  (never leaves this host)")
    click.echo(f"public part:  {shown_at}")
    click.echo(f"fingerprint:  {public.fingerprint()}")
    carried = public.name + PUBLIC_SUFFIX if _PLAIN.fullmatch(public.name) else shown_at.name
    click.echo(
        f"Next: carry it as {carried} to where the registry is kept; there: strongroom enrol {carried} --role {role}"
    )


@command.command(epilog="Example: strongroom identity show web1.pub")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def show(file: Path, as_json: bool) -> None:
    """Show whose public part FILE is, with the fingerprint to compare.

    \f
    Raises:
        BadArgument: not the file of a public part.
        Malformed, Untrusted: what is in it is none.
    """
    if file.suffix != PUBLIC_SUFFIX and file.with_name(file.name + PUBLIC_SUFFIX).exists():
        file = file.with_name(file.name + PUBLIC_SUFFIX)
    if file.suffix != PUBLIC_SUFFIX:
        raise BadArgument(
            f"{file} is not a public part", remedy=f"name the file that ends in {PUBLIC_SUFFIX}"
        )
    public = read_public(file)
    if as_json:
        click.echo(json_line(_fields(public)))
        return
    for name, value in _fields(public).items():
        click.echo(f"{name + ':':<13} {value}")


def _fields(public: PublicIdentity) -> dict[str, str]:
    return {
        "name": public.name,
        "role": public.role,
        "id": public.id.hex(),
        "fingerprint": public.fingerprint(),
    }
