"""`strongroom acl`."""

import secrets
from pathlib import Path
from typing import Final

import click

from client.arguments import host_name
from client.installation import private_folder, write_private
from client.output import json_line, json_option
from config.acl import acl_file, for_redis_7_0, users
from config.secret_files import first_line

PASSWORD_BYTES: Final = 30
ACL_FILE: Final = "users.acl"


@click.command(epilog="Example: strongroom acl broker --host web1 --host web2")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="A host with backup workers of its own.")
@click.option(
    "--redis-7.0", "redis_7_0", is_flag=True, help="For Redis 7.0 and 7.1, which know fewer commands."
)
@json_option
def command(folder: Path, hosts: tuple[str, ...], redis_7_0: bool, as_json: bool) -> None:
    """Make the broker's users: DIR/users.acl for the server, and DIR/USER.password for each role.

    A password that is in DIR already stays: run it again to add a host, then restart the server with the new file.
    """
    private_folder(folder)
    names = users(dict.fromkeys(host_name(host) for host in hosts))
    passwords = {user: _password(folder / f"{user}.password") for user in names}
    text = acl_file(passwords)
    write_private(folder / ACL_FILE, (for_redis_7_0(text) if redis_7_0 else text).encode())
    if as_json:
        click.echo(json_line({"file": str(folder / ACL_FILE), "users": list(names)}))
    else:
        click.echo(f"{folder / ACL_FILE} has the users {', '.join(names)}")
        click.echo("Give each host the password files of its own roles, and no others.")


def _password(path: Path) -> bytes:
    if not path.exists():
        write_private(path, secrets.token_urlsafe(PASSWORD_BYTES).encode() + b"\n")
    return first_line("the password", str(path)).encode()
