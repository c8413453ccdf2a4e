"""`strongroom pki init | issue`."""

from pathlib import Path
from typing import Final

import click

from client.errors import AlreadyInitialised, BadArgument
from client.installation import private_folder, write_private
from client.output import json_line, json_option
from config import queues
from crypto.pki import Authority, Issued, new_authority

AUTHORITY: Final = "ca"
SERVERS: Final = ("broker", "flower")
CLIENTS: Final = (*queues.QUEUE_OF_ROLE, queues.BEAT, queues.CLIENT, queues.MONITOR)
MAX_PEM: Final = 64 * 1024
_HOSTS: Final = ("localhost", "127.0.0.1", "::1")

_host = click.option(
    "--host", "hosts", multiple=True, metavar="NAME", help="DNS name or address of a server."
)


@click.group()
def command() -> None:
    """Make a private CA and certificates for TLS, for a trial or for want of a PKI of your own."""


@command.command(epilog="Example: strongroom pki init pki --host broker.example.com")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@_host
@json_option
def init(folder: Path, hosts: tuple[str, ...], as_json: bool) -> None:
    """Make a CA in DIR, server certificates for broker and Flower, and a client certificate for each role.

    The servers' certificates are for the given hosts and this one. Each is NAME.crt and NAME.key; every host needs
    ca.crt and its own pair, and nobody needs ca.key but you.
    """
    if (folder / f"{AUTHORITY}.crt").exists():
        raise AlreadyInitialised(f"there is a CA in {folder} already", remedy="use it: strongroom pki issue")
    private_folder(folder)
    authority = new_authority("Strongroom private CA")
    names = list(dict.fromkeys((*hosts, *_HOSTS)))
    for name in SERVERS:
        _write(folder, f"server-{name}", authority.issue_server(name, names))
    for role in CLIENTS:
        _write(folder, role, authority.issue_client(role))
    write_private(folder / f"{AUTHORITY}.key", authority.key)
    write_private(folder / f"{AUTHORITY}.crt", authority.certificate)  # last: a folder with a CA is complete
    made = [AUTHORITY, *(f"server-{name}" for name in SERVERS), *CLIENTS]
    if as_json:
        click.echo(json_line({"folder": str(folder), "certificates": made, "hosts": names}))
    else:
        click.echo(f"made in {folder}: {', '.join(made)}")
        click.echo(f"servers answer to: {', '.join(names)}")
        click.echo(f"Keep {folder / AUTHORITY}.key away from every host that runs a role.")


@command.command(epilog="Example: strongroom pki issue pki backup.web1")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.argument("name")
@_host
@json_option
def issue(folder: Path, name: str, hosts: tuple[str, ...], as_json: bool) -> None:
    """Make one more certificate NAME of the CA in DIR: a client's, or with --host a server's. Also to renew one."""
    if not name.replace(".", "").replace("-", "").isalnum() or name == AUTHORITY:
        raise BadArgument(
            f"{name!r} is not a name for a certificate", remedy="use letters, digits, dots, dashes"
        )
    authority = Authority.load(_read(folder / f"{AUTHORITY}.crt"), _read(folder / f"{AUTHORITY}.key"))
    _write(folder, name, authority.issue_server(name, hosts) if hosts else authority.issue_client(name))
    if as_json:
        click.echo(json_line({"folder": str(folder), "certificates": [name], "hosts": list(hosts)}))
    else:
        click.echo(f"made in {folder}: {name}.crt, {name}.key")


def _write(folder: Path, name: str, issued: Issued) -> None:
    write_private(folder / f"{name}.key", issued.key)
    write_private(folder / f"{name}.crt", issued.certificate)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_PEM)
    except OSError as error:
        raise BadArgument(
            f"cannot read {path}: {error.strerror}", remedy="name the folder of `strongroom pki init`"
        ) from error
