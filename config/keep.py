"""What is to be kept of a vault's snapshots, in a person's words: the same on the command line and in config.toml.

What the words decide is `repository.retention`.
"""

import re
from collections.abc import Iterable
from typing import Final

COUNTS: Final = ("last", "hourly", "daily", "weekly", "monthly", "yearly")
"""Of what so many are kept; the names of `crypto.job.KeepPolicy`."""
UNLIMITED: Final = "unlimited"
MOST: Final = 1_000_000
MAX_UNUSED: Final = 5.0
"""Percent of the stored bytes that a prune may leave unused, unless somebody says otherwise."""

_SPAN: Final = re.compile(r"(?:(\d{1,5})y)?(?:(\d{1,5})m)?(?:(\d{1,5})d)?(?:(\d{1,5})h)?", re.ASCII)


def read_span(text: str) -> tuple[int, int, int, int]:
    """A span of time such as `1y6m` or `36h` as years, months, days and hours; "" is none of each.

    Raises:
        ValueError: it is no span.
    """
    found = _SPAN.fullmatch(text)
    if found is None or (text and not any(map(int, filter(None, found.groups())))):
        raise ValueError(text)
    years, months, days, hours = (int(each or 0) for each in found.groups())
    return years, months, days, hours


def read_tags(texts: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Groups of tags, `a,b` for both together.

    Raises:
        ValueError: a tag is empty.
    """
    groups = tuple(tuple(text.split(",")) for text in texts)
    if not all(all(group) for group in groups):
        raise ValueError(groups)
    return groups
