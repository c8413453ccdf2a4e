"""Snapshots that a delete marker hides: no listing shows them, but a bucket with versions still has them.

Who may remove objects of such a bucket can hide every snapshot, and then nothing else that is read tells that they
were there. `forget` hides snapshots too, and no name says who it was. So what is hidden is told for a while, and is
wrong only if it is newer than all that is left: a policy always leaves the newest, and until the next backup
`restore latest` would give an older state without a word.

A prune puts voids in the place of snapshots that must not come about, and removes them later: a void is no snapshot,
and one that lies on a snapshot, which somebody had hidden before, hides it. Here only its size tells what it is.
"""

import time
from typing import Final, NamedTuple

from repository import layout
from repository.errors import StoreDenied, StoreUnsupported
from repository.store import ReadStore, Version

TOLD_FOR_S: Final = 30 * 24 * 3600.0
"""How long a snapshot is told to be hidden where no retention says when its lock ends."""
VOID: Final = 150
"""No void has more stored bytes, and no snapshot has so few."""


class Hidden(NamedTuple):
    """What is hidden below snapshots/.

    Attributes:
        names: hidden for no longer than is told, in ascending order.
        newest: those of them that were written after every snapshot that is left.
        looked: whether the store let us see its versions.
    """

    names: tuple[str, ...] = ()
    newest: tuple[str, ...] = ()
    looked: bool = True


NOTHING_HIDDEN: Final = Hidden()


def hidden_snapshots(store: ReadStore, told_for_s: float = TOLD_FOR_S) -> Hidden:
    """Look for them.

    Args:
        told_for_s: what was hidden longer ago is left out; the retention, after which locks end.

    Raises:
        StoreError: the store does not answer.
    """
    try:
        versions = store.versions(layout.SNAPSHOTS)
    except (StoreDenied, StoreUnsupported):
        return Hidden(looked=False)
    by_name: dict[str, list[Version]] = {}
    for each in versions:
        by_name.setdefault(each.name, []).append(each)
    last, since = 0.0, time.time() - told_for_s
    recent = {}
    for name, group in sorted(by_name.items()):
        written = max((each.time_s for each in group if each.size > VOID), default=0.0)
        seen = next((each for each in group if each.latest), None)
        if seen is not None and seen.size > VOID:
            last = max(last, written)
        elif written and (seen is None or seen.time_s > since):
            recent[name] = written
    return Hidden(tuple(recent), tuple(name for name, written in recent.items() if written > last))
