"""The options that say which snapshots stay, made into a policy."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import click

from client.errors import BadArgument
from config.keep import COUNTS, MOST, UNLIMITED, read_span, read_tags
from crypto.job import KeepPolicy

F = TypeVar("F", bound=Callable[..., Any])

_MEANT: Final = (
    "the newest N",
    *(
        f"the newest of each of the last N {unit}s that have one"
        for unit in ("hour", "day", "week", "month", "year")
    ),
)


class _Count(click.ParamType[int]):
    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """A number of snapshots; -1 for all of them."""
        if isinstance(value, int):
            return value
        text = str(value)
        if text == UNLIMITED:
            return -1
        if not (text.isascii() and text.isdigit() and int(text[:8]) <= MOST):
            self.fail(f"{text!r} is neither a number up to {MOST} nor {UNLIMITED}", param, ctx)
        return int(text)


def policy_options(command: F) -> F:
    """Give a command the options that `keep_policy` takes."""
    options = [
        click.option(
            f"--keep-{name}", type=_Count(), default=0, metavar="N", help=f"Keep {what} (or: {UNLIMITED})."
        )
        for name, what in zip(COUNTS, _MEANT, strict=True)
    ]
    options.append(
        click.option(
            "--keep-within",
            default="",
            metavar="SPAN",
            help="Keep what is no more than this, such as 1y6m, 30d or 36h, older than the newest.",
        )
    )
    options.append(
        click.option(
            "--keep-tag",
            multiple=True,
            metavar="TAG[,TAG]",
            help="Keep what has this tag, or all of these (repeatable: any of them).",
        )
    )
    for option in reversed(options):
        command = option(command)
    return command


def keep_policy(options: Mapping[str, Any]) -> KeepPolicy:
    """The policy that the options say.

    Raises:
        BadArgument: a span of time that is none, or an empty tag.
    """
    try:
        groups = read_tags(options["keep_tag"])
    except ValueError as error:
        raise BadArgument(
            "an empty tag", remedy="write --keep-tag TAG, or --keep-tag TAG,TAG for both together"
        ) from error
    try:
        within = read_span(options["keep_within"])
    except ValueError as error:
        raise BadArgument(
            f"{options['keep_within']!r} is no span of time", remedy="write such as 30d, 1y6m or 36h"
        ) from error
    counts = {name: options[f"keep_{name}"] for name in COUNTS}
    return KeepPolicy(**counts, within=within, tags=groups)
