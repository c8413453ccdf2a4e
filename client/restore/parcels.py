"""One parcel after another from the delivery area, verified and opened into memory that is used again."""

from client.delivery import ParcelReader
from client.errors import ChunkUnusable
from config.settings import StoreSettings
from crypto.hpke import HpkeKey
from crypto.parcel import OpenParcel, read_parcel
from crypto.registry import Registry
from repository.buffers import Reused


class ParcelOpener:
    """Opens the parcels of one job. One for each process.

    Args:
        registry: whom parcels are believed from.
        opening: the job's temporary private key.
        job: its id.
        delivery: URI of the delivery area.
        store: settings of stores.

    Raises:
        StoreError: the area cannot be opened.
    """

    def __init__(
        self, registry: Registry, opening: HpkeKey, job: bytes, delivery: str, store: StoreSettings
    ) -> None:
        self._registry, self._opening, self._job = registry, opening, job
        self._reader = ParcelReader(delivery, job, store)
        self._plain = Reused()

    def open(self, segment: int, sequence: int, heard_ms: int, snapshot: bytes = b"") -> OpenParcel:
        """A parcel, good until the next call.

        Args:
            heard_ms: when its note arrived, by which its certificate is judged.
            snapshot: what it has to be from; empty for a listing.

        Raises:
            ObjectMissing, StoreError: it is not there.
            Untrusted, Expired, Malformed, SealBroken: see `crypto.parcel.read_parcel`.
            ChunkUnusable: it is from another snapshot.
        """
        sealed = self._reader.read(segment, sequence)
        parcel = read_parcel(
            self._registry,
            sealed,
            self._job,
            segment,
            sequence,
            self._opening,
            heard_ms,
            room=self._plain.take,
        )
        if parcel.table.snapshot != snapshot:
            raise ChunkUnusable("the parcel is from another snapshot", remedy="restore again")
        return parcel

    def remove(self, segment: int, sequence: int) -> None:
        """Remove a parcel that is done with: that is also what its worker waits for."""
        self._reader.remove(segment, sequence)
