"""Putting parcels into the delivery area, and telling the requester of each."""

from collections.abc import Sequence
from contextlib import suppress

from crypto import notes, parcel
from crypto.parcel import ParcelTable
from crypto.sealing import Buffer
from repository.errors import ObjectExists
from workers.reporting import Reporter
from workers.restore.pace import Pace
from workers.restore.session import RestoreSession


def parcel_name(job: bytes, segment: int, sequence: int) -> str:
    """Name of a parcel in the delivery area."""
    return f"{job.hex()}/{segment}-{sequence}"


class ParcelWriter:
    """Delivers the parcels of one segment, numbered from 0."""

    def __init__(self, session: RestoreSession, reporter: Reporter, segment: int) -> None:
        self._session = session
        self._segment = segment
        self.pace = Pace(session, reporter)
        self.sequence = 0
        """How many parcels were delivered, and the number of the next."""

    def deliver(self, table: ParcelTable, payload: Sequence[Buffer], *, pacing: bool = False) -> None:
        """Seal one parcel to the requester and put it into the delivery area.

        Args:
            pacing: not before the requester has taken all but the last few.

        Raises:
            StoreError: the delivery area is full or not to be reached.
            Stray, RequesterGone: nobody waits for it; the rest of the segment is of no use.
        """
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
            self.pace.make_room()
        else:
            self.pace.require_wanted()
        # An earlier delivery of this very task may have brought it, and nobody has fetched it yet.
        with suppress(ObjectExists):
            self._session.delivery.put(name, parts)
        self.pace.delivered(notes.Parcel(self._segment, self.sequence, sum(map(len, parts))))
        self.sequence += 1
