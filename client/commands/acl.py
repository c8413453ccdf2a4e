"""`strongroom acl`."""

import secrets
from pathlib import Path
from typing import Final

import click

from client.arguments import host_name
from client.errors import BadArgument
from client.installation import private_folder, write_private
from client.output import json_line, json_option
from config import queues
from config.acl import acl_file, for_redis_7_0, users
from config.secret_files import first_line

PASSWORD_BYTES: Final = 30
ACL_FILE: Final = "users.acl"
OF_USER: Final = ".password"
MAX_ACL: Final = 16 * 1024 * 1024


@click.command(epilog="Example: strongroom acl broker --host web1 --host web2")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="A host with backup workers of its own.")
@click.option("--remove-host", "gone", multiple=True, metavar="NAME", help="A host that has none any more.")
@click.option(
    "--redis-7.0", "redis_7_0", is_flag=True, help="For Redis 7.0 and 7.1, which know fewer commands."
)
@json_option
def command(
    folder: Path, hosts: tuple[str, ...], gone: tuple[str, ...], redis_7_0: bool, as_json: bool
) -> None:
    """Make the broker's users: DIR/users.acl for the server, and DIR/USER.password for each role.

    Hosts and passwords that are in DIR already stay: run it again to add a host or, with --remove-host, to take one
    out, then restart the server with the new file.

    \f
    Raises:
        BadArgument: a host that is none, or is not there; or an earlier file cannot be read.
        ConfigError: a password file is empty.
    """
    private_folder(folder)
    leave = {host_name(host) for host in gone}
    there = dict.fromkeys(_hosts(folder))
    if unknown := sorted(leave - there.keys()):
        raise BadArgument(
            f"{folder} has no host {', '.join(unknown)}",
            remedy=f"it has {', '.join(there) or 'no host'}",
        )
    added = dict.fromkeys(host_name(host) for host in hosts)
    if both := sorted(leave & added.keys()):
        raise BadArgument(f"{', '.join(both)} is both added and removed", remedy="name it once")
    names = users(host for host in there | added if host not in leave)
    passwords = {user: _password(folder / f"{user}{OF_USER}") for user in names}
    text = acl_file(passwords)
    write_private(folder / ACL_FILE, (for_redis_7_0(text) if redis_7_0 else text).encode())
    # Last: what was cut off before this can be said again.
    for user in users(leave):
        if user not in names:
            (folder / f"{user}{OF_USER}").unlink(missing_ok=True)
    if as_json:
        click.echo(
            json_line({"file": str(folder / ACL_FILE), "users": list(names), "removed": sorted(leave)})
        )
    else:
        click.echo(f"{folder / ACL_FILE} has the users {', '.join(names)}")
        if leave:
            click.echo(f"no longer: {', '.join(sorted(leave))}, whose passwords were removed as well")
        click.echo("Give each host the password files of its own roles, and no others.")


def _hosts(folder: Path) -> list[str]:
    """The hosts that have a user: a password there, or only a line in the file while the password is made anew."""
    stations = [path.name.removesuffix(OF_USER) for path in sorted(folder.glob(f"*{OF_USER}"))]
    lines = _text(folder / ACL_FILE).splitlines()
    stations += [words[1] for line in lines if len(words := line.split()) > 1 and words[0] == "user"]
    split = [station.partition(".") for station in stations]
    return [host for role, _, host in split if role in queues.HOSTED_ROLES and queues.is_host(host)]


def _text(path: Path) -> str:
    """An earlier users.acl; empty without one."""
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(MAX_ACL)
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise BadArgument(f"cannot read {path}", remedy="bring it back from a copy, or remove it") from error


def _password(path: Path) -> bytes:
    if not path.exists():
        write_private(path, secrets.token_urlsafe(PASSWORD_BYTES).encode() + b"\n")
    return first_line("the password", str(path)).encode()
