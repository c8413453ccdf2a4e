"""Putting parcels into the delivery area, and telling the requester of each."""

from collections.abc import Sequence
from contextlib import suppress

from crypto import notes, parcel
from crypto.parcel import ParcelTable
from crypto.sealing import Buffer
from repository.errors import ObjectExists
from workers.reporting import Reporter
from workers.restore.session import RestoreSession


def parcel_name(job: bytes, segment: int, sequence: int) -> str:
    """Name of a parcel in the delivery area."""
    return f"{job.hex()}/{segment}-{sequence}"


class ParcelWriter:
    """Delivers the parcels of one segment, numbered from 0."""

    def __init__(self, session: RestoreSession, reporter: Reporter, segment: int) -> None:
        self._session = session
        self._reporter = reporter
        self._segment = segment
        self.sequence = 0
        """How many parcels were delivered, and the number of the next."""

    def deliver(self, table: ParcelTable, payload: Sequence[Buffer]) -> None:
        """Seal one parcel to the requester and put it into the delivery area.

        Raises:
            StoreError: the delivery area is full or not to be reached.
        """
        job = self._session.job
        keys = self._session.own.process.keys()
        parts = parcel.write_parcel(
            keys, job.spec.requester, job.id, self._segment, self.sequence, table, payload
        )
        # An earlier delivery of this very task may have brought it, and nobody has fetched it yet.
        with suppress(ObjectExists):
            self._session.delivery.put(parcel_name(job.id, self._segment, self.sequence), parts)
        self._reporter.note(notes.Parcel(self._segment, self.sequence, sum(map(len, parts))))
        self.sequence += 1
