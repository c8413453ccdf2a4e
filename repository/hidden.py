"""Snapshots that a delete marker hides: no listing shows them, but a bucket with versions still has them.

Who may remove objects of such a bucket can hide every snapshot, and then nothing else that is read tells that they
were there. `forget` hides snapshots too, and leaves a sealed record that says so (`repository.forgets`). What else is
hidden is told for a while, and is wrong if it is newer than all that is left: until the next backup `restore latest`
would give an older state without a word.

A prune puts voids in the place of snapshots that must not come about, and removes them later: a void is no snapshot,
and one that lies on a snapshot, which somebody had hidden before, hides it. Here only its size tells what it is.
"""

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from repository import layout
from repository.errors import RepositoryError, StoreDenied, StoreUnsupported
from repository.forgets import Forget, forgets
from repository.store import Version
from repository.usage import Subject

TOLD_FOR_S: Final = 30 * 24 * 3600.0
"""How long a snapshot is told to be hidden where no retention says when its lock ends."""
VOID: Final = 150
"""No void has more stored bytes, and no snapshot has so few."""


class Hidden(NamedTuple):
    """What is hidden below snapshots/.

    Attributes:
        names: hidden for no longer than is told, and not by `forget`; in ascending order.
        newest: those of them that were written after every snapshot that is left.
        looked: whether the store let us see its versions.
        forgotten: hidden for no longer than is told, by `forget`, as its records say.
    """

    names: tuple[str, ...] = ()
    newest: tuple[str, ...] = ()
    looked: bool = True
    forgotten: tuple[str, ...] = ()


class _Hidden(NamedTuple):
    """When a snapshot was written, and when it was hidden; by the store's clock."""

    written_s: float
    hidden_s: float


NOTHING_HIDDEN: Final = Hidden()


def hidden_snapshots(
    subject: Subject,
    told_for_s: float = TOLD_FOR_S,
    on_damaged: Callable[[str, RepositoryError], None] = lambda *_: None,
) -> Hidden:
    """Look for them.

    Args:
        told_for_s: what was hidden longer ago is left out; the retention, after which locks end.
        on_damaged: told of each record of a forget that cannot be used.

    Raises:
        StoreError: the store does not answer.
        StrongroomError: a key is refused.
    """
    try:
        # Before the records: whatever `forget` has hidden by now has its own.
        versions = subject.store.versions(layout.SNAPSHOTS)
    except (StoreDenied, StoreUnsupported):
        return Hidden(looked=False)
    by_name: dict[str, list[Version]] = {}
    for each in versions:
        by_name.setdefault(each.name, []).append(each)
    last, since = 0.0, time.time() - told_for_s
    recent: dict[str, _Hidden] = {}
    for name, group in sorted(by_name.items()):
        written = max((each.time_s for each in group if each.size > VOID), default=0.0)
        seen = next((each for each in group if each.latest), None)
        if seen is not None and seen.size > VOID:
            # As of its first version: whoever writes the same bytes again must not make it look the newest.
            last = max(last, min(each.time_s for each in group if each.size > VOID))
        elif written and (seen is None or seen.time_s > since):
            recent[name] = _Hidden(written, _hidden_since(group, written))
    records = list(forgets(*subject, on_damaged)) if recent else []
    forgotten = tuple(name for name, each in recent.items() if _is_forgotten(name, each, records))
    names = tuple(name for name in recent if name not in set(forgotten))
    return Hidden(names, tuple(name for name in names if recent[name].written_s > last), forgotten=forgotten)


def _hidden_since(group: list[Version], written_s: float) -> float:
    """What came first upon the snapshot has hidden it; a void, or another marker, may lie on that."""
    return min(
        (each.time_s for each in group if each.size <= VOID and each.time_s >= written_s), default=written_s
    )


def _is_forgotten(name: str, hidden: _Hidden, records: list[Forget]) -> bool:
    return any(record.answers_for(name, hidden.hidden_s) for record in records)
