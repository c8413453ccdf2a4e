"""Path order out of a listing: for any keys, in S3's order and in that of servers with a tree."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.s3.listing import Listed, in_path_order
from sources.s3.names import escape
from sources.source import order_key

KEYS = st.sets(st.text(st.sampled_from("ab/-.0"), min_size=1, max_size=7), max_size=60)


def by_path(keys: set[str]) -> list[str]:
    return sorted(keys, key=lambda key: order_key(escape(key)))


class Server:
    """Lists some keys as a server does, and counts its requests."""

    def __init__(self, keys: set[str], *, tree: bool = False) -> None:
        self.keys = by_path(keys) if tree else sorted(keys)
        self.requests = 0

    def list(self, prefix: str, after: str, page: int) -> Iterator[Listed]:
        found = [key for key in self.keys if key.startswith(prefix) and (not after or key > after)]
        for number, key in enumerate(found):
            self.requests += number % page == 0
            yield Listed(key, 0, "", 0)
        self.requests += not found


@given(KEYS, st.integers(1, 9), st.booleans())
def test_all_keys_come_once_in_path_order_however_few_may_wait(keys: set[str], window: int, tree: bool):
    server = Server(keys, tree=tree)
    assert [found.key for found in in_path_order(server.list, "", window, 3)] == by_path(keys)


@given(KEYS, st.integers(1, 9))
def test_only_what_is_below_a_prefix_comes(keys: set[str], window: int):
    server = Server(keys)
    wanted = {key for key in keys if key.startswith("a/")}
    assert [found.key for found in in_path_order(server.list, "a/", window, 3)] == by_path(wanted)


@pytest.mark.parametrize("below", [0, 1, 2500])
def test_what_waits_is_bounded_and_few_questions_are_asked(below: int):
    keys = {f"logs/2026-{n:05}.txt" for n in range(5000)} | {f"logs/2026/{n:05}" for n in range(below)}
    server = Server(keys)
    got = []
    most = 0
    for found in in_path_order(server.list, "", 100):
        got.append(found.key)
        most = max(most, server.requests)
    assert got == by_path(keys)
    assert server.requests <= len(keys) // 1000 + 60, (
        "one for each page, one for each hundred that wait at most"
    )


def test_a_long_listing_gives_the_first_objects_before_it_ends():
    def endless() -> Iterator[Listed]:
        number = 0
        while True:
            yield Listed(f"photos-2026/{number:09}.jpg", 0, "", 0)
            number += 1

    def listing(prefix: str, after: str, page: int) -> Iterator[Listed]:
        return endless() if not prefix else iter(())

    assert next(in_path_order(listing, "", 50)).key == "photos-2026/000000000.jpg"
