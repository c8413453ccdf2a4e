"""Putting parcels into the delivery area, and telling the requester of each."""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from crypto import notes, parcel
from crypto.parcel import ParcelTable
from crypto.sealing import Buffer
from repository.errors import ObjectExists
from workers.admission import Stray
from workers.reporting import Reporter
from workers.restore.session import RestoreSession

AHEAD: Final = 3
"""Parcels of a segment that lie in the delivery area before the next is made: enough that no opener waits, and few,
so that their memory is used again and a long restore needs no room for all of it."""
PATIENCE_S: Final = 1.0
"""A requester who takes nothing for so long is not waited for again in this segment."""
IN_ORDER_PATIENCE_S: Final = 30.0
"""The same for a requester who takes everything in order: a pipe may be slow, and one worker at most waits for it."""
_LOOK_S: Final = 0.005
_SLOW_LOOK_S: Final = 0.1


def parcel_name(job: bytes, segment: int, sequence: int) -> str:
    """Name of a parcel in the delivery area."""
    return f"{job.hex()}/{segment}-{sequence}"


class ParcelWriter:
    """Delivers the parcels of one segment, numbered from 0."""

    def __init__(self, session: RestoreSession, reporter: Reporter, segment: int) -> None:
        self._session = session
        self._reporter = reporter
        self._segment = segment
        self._patient = session.delivery_folder is not None
        self.sequence = 0
        """How many parcels were delivered, and the number of the next."""

    def deliver(self, table: ParcelTable, payload: Sequence[Buffer], *, pacing: bool = False) -> None:
        """Seal one parcel to the requester and put it into the delivery area.

        Args:
            pacing: not before the requester has taken all but the last few.

        Raises:
            StoreError: the delivery area is full or not to be reached.
            Stray: the requester is gone; the rest of the segment is of no use.
        """
        self._require_wanted()
        job = self._session.job
        keys = self._session.own.process.keys()
        name = parcel_name(job.id, self._segment, self.sequence)
        parts = parcel.write_parcel(
            keys,
            job.spec.requester,
            job.id,
            self._segment,
            self.sequence,
            table,
            payload,
            room=self._session.own.sealed.take,
        )
        if pacing:
            self._keep_pace()
            self._require_wanted()
        # An earlier delivery of this very task may have brought it, and nobody has fetched it yet.
        with suppress(ObjectExists):
            self._session.delivery.put(name, parts)
        self._reporter.note(notes.Parcel(self._segment, self.sequence, sum(map(len, parts))))
        self.sequence += 1

    def _require_wanted(self) -> None:
        if not self._session.is_wanted():
            raise Stray("the requester has gone")

    def _keep_pace(self) -> None:
        """Wait for the requester, if it takes any; only where looking costs nothing, in a folder."""
        folder = self._session.delivery_folder
        if not self._patient or folder is None:
            return
        begun = time.monotonic()
        patience_s = IN_ORDER_PATIENCE_S if self._session.in_order else PATIENCE_S
        while self._is_ahead(folder):
            waited = time.monotonic() - begun
            if waited > patience_s:
                self._patient = False
                return
            self._reporter.alive()
            time.sleep(_LOOK_S if waited < PATIENCE_S else _SLOW_LOOK_S)

    def _is_ahead(self, folder: Path) -> bool:
        """Whether so many parcels lie there that another can wait; in order, those of earlier segments count too."""
        job = self._session.job.id
        if not self._session.in_order:
            number = self.sequence - AHEAD
            return number >= 0 and os.path.lexists(
                os.path.join(folder, parcel_name(job, self._segment, number))
            )
        with suppress(FileNotFoundError):  # the requester has gone: the next look at it says so
            names = os.listdir(os.path.join(folder, job.hex()))
            return sum(not name.startswith(".") for name in names) >= AHEAD
        return False
