"""What is to be kept of a vault's snapshots, in a person's words: the same on the command line and in config.toml.

What the words decide is `repository.retention`.
"""

import os
import posixpath
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote

COUNTS: Final = ("last", "hourly", "daily", "weekly", "monthly", "yearly")
"""Of what so many are kept; the names of `crypto.job.KeepPolicy`."""
UNLIMITED: Final = "unlimited"
MOST: Final = 1_000_000
MAX_UNUSED: Final = 5.0
"""Percent of the stored bytes that a prune may leave unused, unless somebody says otherwise."""

BUCKET: Final = "s3://"
"""What the URI of objects begins with."""

_OBJECTS: Final = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([^?#]*))?(?:\?[^#]*)?")
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


def read_path(text: str) -> bytes:
    """A path in a snapshot: absolute, or the URI of objects, which is `/s3:/bucket/prefix` there.

    Raises:
        ValueError: it is neither, or a key for which the path has to be written as the snapshot shows it.
    """
    if not text.startswith(BUCKET):
        if not text.startswith("/"):
            raise ValueError(text)
        return os.fsencode("/" + posixpath.normpath(text).lstrip("/"))
    found = _OBJECTS.fullmatch(text)
    if found is None:
        raise ValueError(text)
    prefix = unquote(found[2] or "").removesuffix("/")
    # Of such names a snapshot has another spelling (`sources.s3.names`).
    if (prefix and not {"", ".", ".."}.isdisjoint(prefix.split("/"))) or re.search(r"[\0\1]", prefix):
        raise ValueError(text)
    return f"/s3:/{found[1]}{'/' + prefix if prefix else ''}".encode()
