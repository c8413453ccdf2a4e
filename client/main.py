"""The `strongroom` command. Each verb is a module that is imported only when it is used."""

import atexit
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Final

import click

from client.errors import ClientError, Interrupted, code_of
from client.output import json_line, shown
from config.errors import StrongroomError

DEBUG_VARIABLE: Final = "STRONGROOM_DEBUG"
VERBS: Final = {
    "init": "Make a home: identities, registry, settings, local keystore.",
    "vault": "Make, attach, forget and list vaults.",
    "backup": "Back up files and folders into a vault.",
    "snapshots": "List a vault's snapshots.",
    "ls": "List the content of a snapshot.",
    "restore": "Restore a snapshot, or a part of one, into a folder.",
    "find": "Find where paths occur over snapshots.",
    "diff": "Show what differs between two snapshots.",
    "dump": "Write a file, or a folder as an archive, to standard output.",
    "forget": "Take snapshots out of a vault, by id or by a policy.",
    "prune": "Free what no snapshot of a vault needs.",
    "check": "Verify a vault's repository.",
    "lock": "Extend the locks of a vault's objects.",
    "identity": "Make the identity of a role on this host; show its public part.",
    "enrol": "Enrol an identity in the registry, or take one out.",
    "registry": "Make, export and import the registry.",
    "pki": "Make a private CA and certificates for TLS.",
    "acl": "Make the broker's users and passwords.",
    "worker": "Run one role in the foreground.",
    "up": "Start the stack and keep it up.",
    "down": "Stop the stack that is kept up.",
    "status": "Show how the stack is.",
    "schedule": "Show what recurs by config.toml.",
    "jobs": "Show the newest jobs.",
}
"""Every verb with its line in the overview, which therefore needs no import."""


class LazyGroup(click.Group):
    """A group whose commands are `client.commands.<verb>.command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in the order of a vault's life."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"client.commands.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The overview."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


def _show_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from importlib import metadata  # as long to import as the rest together

        click.echo(f"strongroom {metadata.version('strongroom')}")
        ctx.exit()


@click.command(cls=LazyGroup, epilog="State lives in STRONGROOM_HOME (default ~/.strongroom).")
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version)
def group() -> None:
    """Encrypted backups whose keys stay in your own KMS.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 finished but something could not be read or restored,
    130 interrupted.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; always ends in SystemExit."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = group.main(words, prog_name="strongroom", standalone_mode=False)
    except StrongroomError as error:
        code = _tell(error, as_json="--json" in words)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except BrokenPipeError:
        # Whoever read our output has gone; nothing more can be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
        code = _tell(
            ClientError(shown(what), remedy="check the space and the permissions there"),
            as_json="--json" in words,
        )
    except (KeyboardInterrupt, click.Abort):
        code = _tell(Interrupted("interrupted"), as_json="--json" in words)
    sys.exit(code if isinstance(code, int) else 0)


def run() -> None:
    """The installed command: `main`, without taking the interpreter apart, which takes as long as a small backup."""
    code = 1
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    except BaseException:  # noqa: BLE001 - a bug, shown as Python shows it
        sys.excepthook(*sys.exc_info())
    atexit._run_exitfuncs()  # noqa: SLF001 - what was registered is done, also by libraries
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # as it is when a script started us with it closed
            with suppress(OSError, ValueError):
                stream.flush()
    os._exit(code)


def _tell(error: StrongroomError, *, as_json: bool) -> int:
    if os.environ.get(DEBUG_VARIABLE):
        raise error
    with suppress(OSError):  # nobody reads it, or there is no room: the exit code still says it
        click.echo(f"strongroom: {error.message}", err=True)
        if error.remedy:
            click.echo(f"  -> {error.remedy}", err=True)
        if as_json:
            click.echo(json_line({"error": error.message, "remedy": error.remedy, "code": code_of(error)}))
    return error.exit_code


if __name__ == "__main__":
    run()
