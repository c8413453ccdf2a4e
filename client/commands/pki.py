"""`strongroom pki init | issue`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from client.errors import AlreadyInitialised, BadArgument
from client.installation import private_folder, write_private
from client.output import json_line, json_option
from config import queues
from crypto.errors import Malformed
from crypto.pki import Authority, Issued, Leaf, new_authority, purpose

AUTHORITY: Final = "ca"
CLIENTS: Final = (*queues.QUEUE_OF_ROLE, queues.BEAT, queues.CLIENT, queues.MONITOR)
MAX_PEM: Final = 64 * 1024
LOCAL: Final = ("localhost", "127.0.0.1", "::1")
"""What a server is called that nobody gave a name: for a trial on one machine."""
_SERVER_PREFIX: Final = "server-"


@click.group()
def command() -> None:
    """Make a private CA and certificates for TLS, for a trial or for want of a PKI of your own."""


@command.command(
    epilog="Example: strongroom pki init pki --broker-host broker.example.com --flower-host flower.example.com"
)
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--broker-host", multiple=True, metavar="NAME", help="DNS name or address of the broker.")
@click.option("--flower-host", multiple=True, metavar="NAME", help="DNS name or address of Flower.")
@json_option
def init(folder: Path, broker_host: tuple[str, ...], flower_host: tuple[str, ...], as_json: bool) -> None:
    """Make a CA in DIR, server certificates for broker and Flower, and a client certificate for each role.

    Each server's certificate is for its own names, or for this machine without any. Each is NAME.crt and NAME.key;
    every host needs ca.crt and its own pair, and nobody needs ca.key but you.

    \f
    Raises:
        AlreadyInitialised: there is a CA.
        BadArgument: two servers of one name.
    """
    if (folder / f"{AUTHORITY}.crt").exists():
        raise AlreadyInitialised(f"there is a CA in {folder} already", remedy="use it: strongroom pki issue")
    named = {"server-broker": _told_apart(broker_host), "server-flower": _told_apart(flower_host)}
    for server, hosts in named.items():
        _refuse_shared(server, hosts, {name: found for name, found in named.items() if name != server})
    private_folder(folder)
    authority = new_authority("Strongroom private CA")
    servers = {name: hosts or LOCAL for name, hosts in named.items()}
    for name, hosts in servers.items():
        _write(folder, name, authority.issue_server(name, hosts))
    for role in CLIENTS:
        _write(folder, role, authority.issue_client(role))
    write_private(folder / f"{AUTHORITY}.key", authority.key)
    write_private(folder / f"{AUTHORITY}.crt", authority.certificate)  # last: a folder with a CA is complete
    made = [AUTHORITY, *servers, *CLIENTS]
    if as_json:
        click.echo(json_line({"folder": str(folder), "certificates": made, "hosts": servers}))
    else:
        click.echo(f"made in {folder}: {', '.join(made)}")
        for name, hosts in servers.items():
            click.echo(f"{name} answers to: {', '.join(hosts)}")
        click.echo(f"Keep {folder / AUTHORITY}.key away from every host that runs a role.")


@command.command(epilog="Example: strongroom pki issue pki backup.web1")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.argument("name")
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="DNS name or address of a server.")
@json_option
def issue(folder: Path, name: str, hosts: tuple[str, ...], as_json: bool) -> None:
    """Make one more certificate NAME of the CA in DIR: a client's, or with --host a server's. Also to renew one.

    One that is there already is renewed for what it is for: a server's keeps its names unless --host gives others.

    \f
    Raises:
        BadArgument: not a name, or one that is for something else; or there is no CA.
    """
    if not name.replace(".", "").replace("-", "").isalnum() or name == AUTHORITY:
        raise BadArgument(
            f"{name!r} is not a name for a certificate", remedy="use letters, digits, dots, dashes"
        )
    authority = Authority.load(_read(folder / f"{AUTHORITY}.crt"), _read(folder / f"{AUTHORITY}.key"))
    path = folder / f"{name}.crt"
    before = _leaf(path) if path.exists() else None
    _refuse_other_purpose(path, before, hosts)
    if hosts:
        hosts = _told_apart(hosts)
        _refuse_shared(name, hosts, _servers(folder, name))
    elif before is not None:
        hosts = before.hosts
    _write(folder, name, authority.issue_server(name, hosts) if hosts else authority.issue_client(name))
    done = "renewed" if before else "made"
    if as_json:
        told = {"folder": str(folder), "certificates": [name], "hosts": list(hosts), "renewed": bool(before)}
        click.echo(json_line(told))
    else:
        click.echo(f"{done} in {folder}: {name}.crt, {name}.key, for a {'server' if hosts else 'client'}")
        if hosts:
            click.echo(f"{name} answers to: {', '.join(hosts)}")


def _refuse_other_purpose(path: Path, before: Leaf | None, hosts: tuple[str, ...]) -> None:
    """A pair is in use somewhere: a client's in its place would stop a server, and the reverse."""
    name = path.stem
    if before is not None and hosts and not before.server:
        raise BadArgument(
            f"{name} is a client's certificate, and --host makes a server's",
            remedy=f"leave --host out to renew it, give the server another name, or move {path} away",
        )
    if before is None and not hosts and name.startswith(_SERVER_PREFIX):
        raise BadArgument(f"{name} would be a client's certificate", remedy="name the server's --host")
    if before is None and hosts and name.partition(".")[0] in CLIENTS:
        raise BadArgument(
            f"{name} is the certificate of a role, which is a client of the broker",
            remedy=f"leave --host out, or call the server's {_SERVER_PREFIX}NAME",
        )


def _refuse_shared(name: str, hosts: tuple[str, ...], servers: Mapping[str, tuple[str, ...]]) -> None:
    """Two servers under one name: whoever has the key of one could stand for the other."""
    for other, theirs in servers.items():
        if shared := (set(hosts) & set(theirs)) - set(LOCAL):
            raise BadArgument(
                f"{name} and {other} would both be {', '.join(sorted(shared))}: each could stand for the other",
                remedy="give each server a name of its own",
            )


def _servers(folder: Path, but: str) -> dict[str, tuple[str, ...]]:
    """The names of the other servers whose certificates are there."""
    found = {path.stem: _leaf(path) for path in folder.glob(f"{_SERVER_PREFIX}*.crt") if path.stem != but}
    return {name: each.hosts for name, each in found.items()}


def _told_apart(hosts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(host.lower() for host in hosts))


def _leaf(path: Path) -> Leaf:
    try:
        return purpose(_read(path))
    except Malformed as error:
        raise BadArgument(
            f"cannot see what {path} is for: {error.message}", remedy="move it away to make a new one"
        ) from error


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
