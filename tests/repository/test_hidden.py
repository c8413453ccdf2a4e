"""What versions say of hidden snapshots, case by case; a real bucket with versions is in s3/test_hidden.py."""

import time
from collections.abc import Iterator, Sequence
from typing import cast

import pytest

from repository.access import KeyRing, VaultId
from repository.errors import StoreDenied, StoreError, StoreUnreachable, StoreUnsupported
from repository.hidden import TOLD_FOR_S, VOID, Hidden, hidden_snapshots
from repository.store import ReadStore, Version
from repository.usage import Subject

NOW = time.time()
SIZE = VOID + 1
A, B = "snapshots/aa", "snapshots/bb"


class Versioned:
    """A store that has these versions, or says why it does not tell."""

    def __init__(self, versions: Sequence[Version] | StoreError) -> None:
        self._versions = versions

    def versions(self, prefix: str) -> Sequence[Version]:
        if isinstance(self._versions, StoreError):
            raise self._versions
        return [each for each in self._versions if each.name.startswith(prefix)]

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        """No record of a forget."""
        return iter(())


def hidden(versions: Sequence[Version] | StoreError, told_for_s: float = TOLD_FOR_S) -> Hidden:
    store = cast(ReadStore, Versioned(versions))
    return hidden_snapshots(Subject(store, VaultId(b"t" * 16, b"v" * 16), cast(KeyRing, None)), told_for_s)


def version(name: str, days_ago: float, size: int = SIZE, *, latest: bool = False) -> Version:
    return Version(name, NOW - days_ago * 86_400, size, latest)


def marker(name: str, days_ago: float) -> Version:
    return version(name, days_ago, -1, latest=True)


@pytest.mark.parametrize(
    ("versions", "names", "newest"),
    [
        ([], (), ()),
        ([version(A, 2, latest=True)], (), ()),
        ([version(A, 2), marker(A, 1)], (A,), (A,)),
        ([version(A, 3), marker(A, 1), version(B, 2, latest=True)], (A,), ()),
        ([version(A, 2), marker(A, 1), version(B, 3, latest=True)], (A,), (A,)),
        ([version(B, 2), marker(B, 1), version(A, 2), marker(A, 1)], (A, B), (A, B)),
        # Hidden for longer than is told.
        ([version(A, 90), marker(A, 31)], (), ()),
        # No marker, and no version is what a reader sees: told, whenever that was.
        ([version(A, 90)], (A,), (A,)),
        # A void is no snapshot, on one it hides it, and one that is left does not count as the newest.
        ([version(A, 2, VOID), marker(A, 1)], (), ()),
        ([version(A, 2), version(A, 1, VOID, latest=True)], (A,), (A,)),
        ([version(A, 3), marker(A, 2), version(B, 1, VOID, latest=True)], (A,), (A,)),
        # What is written again is as old as it was first: it hides nothing behind it.
        ([version(A, 3), version(A, 0, latest=True), version(B, 2), marker(B, 1)], (B,), (B,)),
        # Hidden, and written again.
        ([version(A, 3), version(A, 2, -1), version(A, 1, latest=True)], (), ()),
    ],
)
def test_what_is_hidden_and_what_of_it_is_newer_than_all_that_is_left(
    versions: list[Version], names: tuple[str, ...], newest: tuple[str, ...]
) -> None:
    for order in (versions, versions[::-1]):
        assert hidden([*order, version("packs/aa/bb", 0)]) == Hidden(names, newest)


def test_it_is_told_for_as_long_as_is_asked() -> None:
    versions = [version(A, 20), marker(A, 10)]
    assert hidden(versions).names == (A,)
    assert hidden(versions, 5 * 86_400.0).names == ()


@pytest.mark.parametrize("kind", [StoreDenied, StoreUnsupported])
def test_who_may_not_look_has_not_looked(kind: type[StoreError]) -> None:
    assert hidden(kind("no")) == Hidden(looked=False)


def test_a_store_that_does_not_answer_is_not_taken_for_one_that_hides_nothing() -> None:
    with pytest.raises(StoreUnreachable):
        hidden(StoreUnreachable("away"))
