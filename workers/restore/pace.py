"""How far a restore process runs ahead of whoever takes its parcels, and when it stops.

A worker may only write to the delivery area, so it cannot see what was taken; and in a bucket a parcel that a cancelled
command has removed would look like one that was taken. So the command says it over the broker: how many parcels of
each segment it is done with, and with every word that it is still there. That the job is over is said by the scheduler,
with its signature. Both are looked up in one round trip to the broker, where each parcel's note goes anyway.

The command's words are not signed: whoever forges them has workers run ahead, or wait, and learns nothing.
"""

import time
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from config.errors import StrongroomError
from crypto import notes
from crypto.job import RestoreSpec
from workers.admission import Stray, require_not_over
from workers.lists import Followed
from workers.reporting import Reporter

if TYPE_CHECKING:
    from workers.restore.session import RestoreSession

AHEAD: Final = 3
"""Parcels of one process that nobody has taken yet, before it makes the next: enough that no opener waits, and few, so
that their memory is used again and a long restore needs no room for all of it."""
AHEAD_IN_BUCKET: Final = 6
"""The same where sending and fetching a parcel take some time."""
ABSENCE_S: Final = 10.0
"""How long a requester whose words have ended (`config.queues.taken_key`) may take to say more: a broker that was
restarted has forgotten them."""
REMIND_S: Final = 2.0
"""Notes may be lost with the broker: who seems to take nothing is told again what there is."""
_FIRST_LOOK_S: Final = 0.005
_LAST_LOOK_S: Final = 0.02


class RequesterGone(StrongroomError):
    """Nobody takes what is delivered any more; the job ends."""


class Ahead(NamedTuple):
    """Notes of a process's parcels of one job that nobody was seen to take, oldest first."""

    job: bytes
    parcels: deque[notes.Parcel]


class Pace:
    """The pace of one task.

    Args:
        session: of its job.
        reporter: keeps the job's lease while it waits.
    """

    def __init__(self, session: "RestoreSession", reporter: Reporter) -> None:
        self._session, self._reporter = session, reporter
        self._limit = AHEAD if session.delivery_folder is not None else AHEAD_IN_BUCKET
        self._following = isinstance(session.spec, RestoreSpec) and session.spec.following
        own, job = session.own, session.job.id
        if own.ahead is None or own.ahead.job != job:
            own.ahead = Ahead(job, deque())
        self._ahead = own.ahead.parcels

    def require_wanted(self) -> Followed:
        """Look whether anybody still waits for the job.

        Raises:
            Stray: the job is over, or its place in the delivery area was removed.
            RequesterGone: the requester says so.
            BrokerUnreachable: it cannot be told.
        """
        process, job = self._session.own.process, self._session.job
        found = process.lists.followed(job.id, [parcel.segment for parcel in self._ahead])
        require_not_over(process, job, found.over)
        if not self._session.is_wanted():
            raise Stray("the requester has gone")
        if self._following and found.left:
            raise _gone()
        return found

    def make_room(self) -> None:
        """Wait until the requester has taken all but the last few parcels, if it follows the job at all.

        Raises:
            Stray, RequesterGone, BrokerUnreachable: as `require_wanted`; also when it has said nothing for long.
        """
        absent_from = remind_at = time.monotonic()
        remind_at += REMIND_S
        pause = _FIRST_LOOK_S
        while True:
            found = self.require_wanted()
            now = time.monotonic()
            if not self._following:
                return
            if found.here:
                absent_from = now
                self._forget(found.taken)
                if len(self._ahead) < self._limit:
                    return
            elif now - absent_from > ABSENCE_S:
                raise _gone()
            if now > remind_at:
                remind_at = now + REMIND_S
                for parcel in self._ahead:
                    self._reporter.note(parcel)
            self._reporter.alive()
            time.sleep(pause)
            pause = min(2 * pause, _LAST_LOOK_S)

    def delivered(self, parcel: notes.Parcel) -> None:
        """Count a parcel that is in the delivery area, and tell the requester of it."""
        if self._following:
            self._ahead.append(parcel)
        self._reporter.note(parcel)

    def _forget(self, taken: list[int]) -> None:
        left = [parcel for parcel, count in zip(self._ahead, taken, strict=True) if parcel.sequence >= count]
        self._ahead.clear()
        self._ahead.extend(left)


def _gone() -> RequesterGone:
    return RequesterGone(
        "whoever asked for the restore takes nothing any more", remedy="restore again into an empty folder"
    )
