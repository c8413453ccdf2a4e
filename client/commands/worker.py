"""`strongroom worker`."""

import os

import click

from client.installation import python_command
from config import queues
from config.home import Home

MODULE = "workers.run"
ROLES = (*queues.QUEUE_OF_ROLE, queues.BEAT, queues.MONITOR)


@click.command(epilog="Example: strongroom worker --role backup --queue backup.web1 --concurrency 4")
@click.option("--role", type=click.Choice(ROLES), required=True)
@click.option("--queue", default="", help="backup.HOST: do only the jobs of that host.")
@click.option("--concurrency", type=click.IntRange(min=1), help="Processes (key-broker: threads).")
def command(role: str, queue: str, concurrency: int | None) -> None:
    """Run one role in the foreground, against the broker of config.toml, until SIGTERM; it logs to standard error."""
    words = ["--home", str(Home.from_env().root), "--role", role]
    words += ["--queue", queue] if queue else []
    words += ["--concurrency", str(concurrency)] if concurrency else []
    arguments, environment = python_command(MODULE, *words)
    # The role takes this process's place: no worker code and no key is ever in the client's.
    os.execve(arguments[0], arguments, environment)  # noqa: S606 - a shell is what it must not be
