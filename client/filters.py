"""The options that choose among snapshots, the same for every command that takes `latest` or lists."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS: Final = (
    click.option(
        "--host", "hosts", multiple=True, metavar="HOST", help="Only snapshots of this host (repeatable)."
    ),
    click.option(
        "--tag",
        "tags",
        multiple=True,
        metavar="TAG[,TAG]",
        help="Only snapshots with this tag, or with all of these (repeatable: any of them).",
    ),
    click.option(
        "--path",
        "paths",
        multiple=True,
        metavar="PATH",
        help="Only snapshots of backups that named this path (repeatable: all of them).",
    ),
)


def filter_options(command: F) -> F:
    """Give a command `hosts`, `tags` and `paths`, for `client.arguments.snapshot_filter`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
