"""`strongroom enrol`."""

from pathlib import Path
from typing import Any

import click

from client.errors import EnrolmentRefused
from client.identities import enrolled_as, read_public, without_identity
from client.installation import change_registry, read_registry
from client.output import json_line, json_option, table
from config.home import Home
from crypto.registry import ROLES, Enrolled, Registry


@click.command(epilog="Example: strongroom enrol web1.pub --role backup --vault documents --host web1")
@click.argument("public", required=False, type=click.Path(path_type=Path))
@click.option("--role", type=click.Choice(ROLES), help="What the identity may do.")
@click.option(
    "--vault", "vaults", multiple=True, metavar="NAME", help="Only this vault; default: every vault."
)
@click.option("--host", default="", help="A backup worker that does only the jobs of this host.")
@click.option("--list", "listing", is_flag=True, help="List who is enrolled.")
@click.option("--remove", default="", metavar="ID", help="Take an identity out, by id or name.")
@json_option
def command(
    public: Path | None,
    role: str | None,
    vaults: tuple[str, ...],
    host: str,
    listing: bool,
    remove: str,
    as_json: bool,
) -> None:
    """Enrol the identity whose public part is the file PUBLIC, in the registry of this home.

    That is done where the registry is kept; every other host gets a copy (`strongroom registry`). Enrolled again, it
    may do what is said now and nothing of what was said before: name all its vaults.

    \f
    Raises:
        UsageError: none of the three things is asked, or more than one.
        EnrolmentRefused, BadArgument, Malformed: see `client.identities`.
    """
    if bool(public) + listing + bool(remove) != 1 or bool(public) != bool(role):
        raise click.UsageError("give PUBLIC with --role, or --list, or --remove")
    home = Home.from_env()
    if listing:
        _list(read_registry(home), as_json=as_json)
        return
    if remove:
        _show(_remove(home, remove), "removed", read_registry(home), as_json=as_json)
        return
    assert public is not None
    assert role is not None
    entry, before = _enrol(home, public, role, vaults, host)
    _show(entry, "enrolled", read_registry(home), as_json=as_json, before=before)


def _enrol(
    home: Home, public: Path, role: str, vaults: tuple[str, ...], host: str
) -> tuple[Enrolled, Enrolled | None]:
    """The entry that is there now, and the one that it replaced."""
    identity = read_public(public)
    entries: list[tuple[Enrolled, Enrolled | None]] = []

    def change(registry: Registry) -> Registry:
        for other in registry.identities:
            if other.name == identity.name and other.id != identity.id:
                raise EnrolmentRefused(
                    f"another identity is enrolled under the name {identity.name!r}",
                    remedy="remove that one, or make this one again with another --name",
                )
        before = next((other for other in registry.identities if other.id == identity.id), None)
        entry = enrolled_as(identity, role, vaults, host, registry)
        entries.append((entry, before))
        return registry.with_identity(entry)

    change_registry(home, change)
    return entries[-1]


def _remove(home: Home, wanted: str) -> Enrolled:
    removed = []

    def change(registry: Registry) -> Registry:
        left, found = without_identity(registry, wanted)
        removed.append(found)
        return left

    change_registry(home, change)
    return removed[-1]


def _list(registry: Registry, *, as_json: bool) -> None:
    rows = [_fields(each, registry) for each in registry.identities]
    if as_json:
        click.echo(json_line(rows))
    elif rows:
        headings = ("NAME", "ROLE", "VAULTS", "HOST", "ID")
        table(
            headings,
            [
                (
                    row["name"],
                    row["role"],
                    _vaults(row),
                    row["host"],
                    row["id"],
                )
                for row in rows
            ],
        )


def _show(
    entry: Enrolled, done: str, registry: Registry, *, as_json: bool, before: Enrolled | None = None
) -> None:
    fields = _fields(entry, registry)
    replaced = None if before is None else _fields(before, registry)
    if as_json:
        click.echo(json_line({**fields, "replaced": replaced}))
        return
    click.echo(f"{done}: {entry.name} ({fields['role']}, {fields['id']}) for {_scope(fields)}")
    if replaced is not None:
        same = _scope(replaced) == _scope(fields)
        click.echo("as it was enrolled before" if same else f"no longer as before: for {_scope(replaced)}")
    click.echo(
        "Next: strongroom registry export FILE, and on every other host: strongroom registry import FILE"
    )


def _scope(fields: dict[str, Any]) -> str:
    """What an identity may work for, in words."""
    host = f" on the host {fields['host']}" if fields["host"] else ""
    return _vaults(fields) + host


def _vaults(fields: dict[str, Any]) -> str:
    return "every vault" if fields["vaults"] is None else ", ".join(fields["vaults"])


def _fields(entry: Enrolled, registry: Registry) -> dict[str, Any]:
    names = {vault.id: vault.name for vault in registry.vaults}
    vaults = None if entry.vaults is None else [names.get(vault, vault.hex()) for vault in entry.vaults]
    return {
        "name": entry.name,
        "role": ", ".join(entry.roles),
        "vaults": vaults,
        "host": entry.host,
        "id": entry.id.hex(),
    }
