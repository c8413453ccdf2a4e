"""The options that say which snapshots stay, made into a policy."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import click

from client.errors import BadArgument
from crypto.job import KeepPolicy

F = TypeVar("F", bound=Callable[..., Any])

_UNLIMITED: Final = "unlimited"
_MOST: Final = 1_000_000
_SPAN: Final = re.compile(r"(?:(\d{1,5})y)?(?:(\d{1,5})m)?(?:(\d{1,5})d)?(?:(\d{1,5})h)?", re.ASCII)
_COUNTS: Final = (
    ("last", "the newest N"),
    ("hourly", "the newest of each of the last N hours that have one"),
    ("daily", "the newest of each of the last N days that have one"),
    ("weekly", "the newest of each of the last N weeks that have one"),
    ("monthly", "the newest of each of the last N months that have one"),
    ("yearly", "the newest of each of the last N years that have one"),
)


class _Count(click.ParamType[int]):
    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """A number of snapshots; -1 for all of them."""
        if isinstance(value, int):
            return value
        text = str(value)
        if text == _UNLIMITED:
            return -1
        if not (text.isascii() and text.isdigit() and int(text[:8]) <= _MOST):
            self.fail(f"{text!r} is neither a number up to {_MOST} nor {_UNLIMITED}", param, ctx)
        return int(text)


def policy_options(command: F) -> F:
    """Give a command the options that `keep_policy` takes."""
    options = [
        click.option(
            f"--keep-{name}", type=_Count(), default=0, metavar="N", help=f"Keep {what} (or: {_UNLIMITED})."
        )
        for name, what in _COUNTS
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
    groups = tuple(tuple(text.split(",")) for text in options["keep_tag"])
    if not all(all(group) for group in groups):
        raise BadArgument(
            "an empty tag", remedy="write --keep-tag TAG, or --keep-tag TAG,TAG for both together"
        )
    counts = {name: options[f"keep_{name}"] for name, _ in _COUNTS}
    return KeepPolicy(**counts, within=_span(options["keep_within"]), tags=groups)


def _span(text: str) -> tuple[int, int, int, int]:
    """Years, months, days and hours."""
    found = _SPAN.fullmatch(text)
    if found is None or (text and not any(map(int, filter(None, found.groups())))):
        raise BadArgument(f"{text!r} is no span of time", remedy="write such as 30d, 1y6m or 36h")
    years, months, days, hours = (int(each or 0) for each in found.groups())
    return years, months, days, hours
