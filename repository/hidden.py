"""Snapshots that a delete marker hides: no listing shows them, but a bucket with versions still has them.

Who may remove objects of such a bucket can hide every snapshot, and then nothing else that is read tells that they
were there. `forget` hides snapshots too, and no name says who it was. So what is hidden is told for a while, and is
wrong only if it is newer than all that is left: a policy always leaves the newest, and until the next backup
`restore latest` would give an older state without a word.
"""

import time
from typing import Final, NamedTuple

from repository import layout
from repository.errors import StoreDenied, StoreUnsupported
from repository.store import ReadStore

TOLD_FOR_S: Final = 30 * 24 * 3600.0
"""How long a snapshot is told to be hidden where no retention says when its lock ends."""


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
    last = max((each.written_s for each in versions if not each.hidden_s), default=0.0)
    since = time.time() - told_for_s
    recent = [each for each in versions if each.hidden_s > since]
    return Hidden(
        tuple(each.name for each in recent), tuple(each.name for each in recent if each.written_s > last)
    )
