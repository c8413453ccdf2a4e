"""`strongroom-kms`: the customer's console of the local KMS. The customer runs it, Strongroom never.

Switching a key off needs no passphrase: in an emergency the off switch must work for whoever may write
the file.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
import msgspec

from config.errors import StrongroomError
from config.home import Home
from crypto.kms.keystore import Keystore, wall_clock_ms
from crypto.kms.keystore_file import Cmk, day
from crypto.kms.lock import PASSPHRASE_VARIABLE

MIN_DAYS, DEFAULT_DAYS, MAX_DAYS = 7, 30, 30
"""Waiting time of a deletion: the range of AWS KMS."""
DAY_MS = 24 * 60 * 60 * 1000


class CmkView(msgspec.Struct, frozen=True):
    """What the console shows of a CMK: everything but its material."""

    name: str
    state: str
    key_id: str
    material_id: str
    created_ms: int
    deletion_ms: int


class Console(click.Group):
    """Turns our errors into one line and an exit code, so that nobody sees a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except StrongroomError as error:
            click.echo(f"strongroom-kms: {error.message}", err=True)
            if error.remedy:
                click.echo(f"  to do: {error.remedy}", err=True)
            ctx.exit(error.exit_code)


@click.group(cls=Console)
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="The keystore's folder (default: below STRONGROOM_HOME).",
)
@click.pass_context
def main(ctx: click.Context, folder: Path | None) -> None:
    """The customer's console of the local KMS."""
    ctx.obj = folder or Home.from_env().kms_dir


@main.command()
@click.option(
    "--passphrase", is_flag=True, help=f"Lock with a passphrase (asked, or from {PASSPHRASE_VARIABLE})."
)
@click.pass_obj
def init(folder: Path, passphrase: bool) -> None:
    """Make an empty keystore, locked with a key file unless --passphrase is given."""
    Keystore(
        folder, _new_passphrase if passphrase or PASSPHRASE_VARIABLE in os.environ else None
    ).initialise()
    click.echo("the keystore is ready")


@main.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def create(folder: Path, name: str, as_json: bool) -> None:
    """Make a CMK, enabled."""
    keystore = Keystore(folder, _known_passphrase)
    if not keystore.exists:
        Keystore(folder, _known_passphrase if PASSPHRASE_VARIABLE in os.environ else None).initialise()
    _show(keystore.create(name), as_json)


@main.command("list")
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def list_keys(folder: Path, as_json: bool) -> None:
    """Show every CMK and its state."""
    keys = Keystore(folder).keys()
    if as_json:
        click.echo(msgspec.json.encode([_view(key) for key in keys]).decode())
        return
    for key in keys:
        click.echo(_line(key))


@main.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def disable(folder: Path, name: str, as_json: bool) -> None:
    """The off switch: nothing can be encrypted or decrypted under NAME until it is enabled again."""
    _show(Keystore(folder).disable(name), as_json)


@main.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def enable(folder: Path, name: str, as_json: bool) -> None:
    """Switch NAME on again."""
    _show(Keystore(folder).enable(name), as_json)


@main.command("schedule-deletion")
@click.argument("name")
@click.option("--days", type=click.IntRange(MIN_DAYS, MAX_DAYS), default=DEFAULT_DAYS, show_default=True)
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def schedule_deletion(folder: Path, name: str, days: int, as_json: bool) -> None:
    """Switch NAME off now and destroy it after some days. Every vault under it is lost then."""
    _show(Keystore(folder).schedule_deletion(name, wall_clock_ms() + days * DAY_MS), as_json)


@main.command("cancel-deletion")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def cancel_deletion(folder: Path, name: str, as_json: bool) -> None:
    """Keep NAME after all; it stays disabled until it is enabled."""
    _show(Keystore(folder).cancel_deletion(name), as_json)


def _known_passphrase() -> bytes:
    return (
        os.environ.get(PASSPHRASE_VARIABLE) or str(click.prompt("Passphrase", hide_input=True, err=True))
    ).encode()


def _new_passphrase() -> bytes:
    given = os.environ.get(PASSPHRASE_VARIABLE)
    return (
        given or str(click.prompt("New passphrase", hide_input=True, confirmation_prompt=True, err=True))
    ).encode()


def _view(key: Cmk) -> CmkView:
    return CmkView(key.name, key.state.value, key.key_id, key.material_id, key.created_ms, key.deletion_ms)


def _line(key: Cmk) -> str:
    when = f"  destroyed on {day(key.deletion_ms)}" if key.deletion_ms else ""
    return f"{key.name:<32} {key.state.value:<16} {key.key_id}{when}"


def _show(key: Cmk, as_json: bool) -> None:
    click.echo(msgspec.json.encode(_view(key)).decode() if as_json else _line(key))


if __name__ == "__main__":
    sys.exit(main())
