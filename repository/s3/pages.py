"""Answers that come in pages: followed as long as they get on, refused when a server leads in circles."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from repository.errors import StoreUnsupported

MAX_EMPTY: Final = 100
"""Pages in a row with nothing on them: S3 gives some where it skips what was removed, and no server so many."""
MAX_PAGES: Final = 1000
"""Pages of what there is never much of: an upload's parts, a bucket's unfinished uploads."""

Entry = Mapping[str, Any]
T = TypeVar("T")


def listed(
    ask: Callable[[dict[str, str]], Mapping[str, Any]], start: dict[str, str], shown: str
) -> Iterator[Sequence[Entry]]:
    """The entries of each page of ListObjectsV2.

    Args:
        ask: makes one request with further arguments; its answer is as botocore parsed it.
        start: arguments of the first.
        shown: the place, for errors.

    Raises:
        StoreUnsupported: the listing does not get on.
    """
    token, empty = "", 0
    more = start
    while True:
        answer = ask(more)
        found: Sequence[Entry] = answer.get("Contents", ())
        yield found
        if not answer.get("IsTruncated"):
            return
        empty = 0 if found else empty + 1
        last, token = token, str(answer.get("NextContinuationToken", ""))
        if not token or token == last or empty > MAX_EMPTY:
            raise StoreUnsupported(
                f"{shown}: the server says that its listing goes on, and not how",
                remedy="use another server; no listing is taken for whole that may not be",
            )
        more = {"ContinuationToken": token}


def few(pages: Iterable[T], shown: str) -> Iterator[T]:
    """At most MAX_PAGES of botocore's own pages.

    Raises:
        StoreUnsupported: there are more.
    """
    for number, page in enumerate(pages):
        if number >= MAX_PAGES:
            raise StoreUnsupported(f"{shown}: a list has no end", remedy="use another server")
        yield page
