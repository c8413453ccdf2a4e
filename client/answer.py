"""Answers in JSON lines: a small restore that delivers them in parcels in place of files."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeAlias

import msgspec

from client.delivery import area_of, delivery_area
from client.errors import ClientError, Interrupted
from client.job import Finished, Job
from client.restore.parcels import ParcelOpener
from client.session import Session
from crypto import job as jobs
from crypto import notes
from crypto.registry import VaultEntry

MAX_LINE: Final = 1 << 20
Line = dict[str, Any]
OnSnapshot: TypeAlias = Callable[[str, int], None]
"""Told which snapshot it is, as hex, and when that was made, in nanoseconds since 1970."""
_DECODER: Final = msgspec.json.Decoder(Line)
MakeSpec: TypeAlias = Callable[[bytes, str], jobs.Spec]
"""Makes the spec from the requester's public key and the delivery area's URI."""


class ListingDamaged(ClientError):
    """A listing that no worker of ours writes, or that did not arrive whole."""


def untold(snapshot: str, time_ns: int) -> None:
    """An OnSnapshot: nobody is told."""


class Answer:
    """What a worker has delivered, parcel after parcel; `outcome` is what it says of the whole."""

    def __init__(self, outcome: Line, parcels: ParcelOpener, heard: dict[int, int], due: int) -> None:
        self.outcome = outcome
        self._parcels, self._heard, self._due = parcels, heard, due

    def lines(self, begin: int = 0) -> Iterator[Line]:
        """All lines from parcel `begin` on; one parcel is in memory at a time.

        Raises:
            ListingDamaged: not the lines of a worker of ours.
            CryptoError, StoreError: a parcel cannot be opened.
        """
        for sequence in range(begin, self._due):
            yield from self.parcel(sequence)

    def parcel(self, sequence: int) -> list[Line]:
        """The lines of one parcel; raises as `lines`."""
        if not 0 <= sequence < self._due:
            raise ListingDamaged("the listing refers to what it does not hold", remedy="use the same release")
        heard_ms = self._heard.get(sequence, _now_ms())
        return lines_of(self._parcels.open(0, sequence, heard_ms).table.listing)


@contextmanager
def answered(
    session: Session, kind: str, vault: VaultEntry, make_spec: MakeSpec, on_snapshot: OnSnapshot = untold
) -> Iterator[Answer]:
    """Have a job done that answers in lines; they can be read while the block runs.

    Raises:
        Interrupted: Ctrl-C; the job was cancelled.
        JobFailed and others: see `client.job`. ListingDamaged: it did not arrive whole.
    """
    installation = session.installation
    area = area_of(installation)
    job = Job(session, kind, vault.id, lambda requester: make_spec(requester, area))
    with delivery_area(installation, job.id) as uri:
        heard: dict[int, int] = {}
        due, outcome = -1, b""
        try:
            for event in _events(job):
                if isinstance(event, notes.Parcel):
                    heard.setdefault(event.sequence, _now_ms())
                elif isinstance(event, notes.Restoring):
                    on_snapshot(event.snapshot.hex(), event.time_ns)
                elif isinstance(event, notes.SegmentDone):
                    due = event.parcels
                elif isinstance(event, Finished):
                    outcome = event.json
        except KeyboardInterrupt as error:
            job.cancel()
            raise Interrupted("interrupted") from error
        if due < 0:
            raise ListingDamaged("the listing did not arrive whole", remedy="try again")
        store = installation.settings.store
        parcels = ParcelOpener(session.registry, job.opening, job.id, uri, store)
        yield Answer(_line(outcome or b"{}"), parcels, heard, due)


def _events(job: Job) -> Iterator[notes.Note | Finished]:
    job.submit()
    while True:
        event = job.next()
        if event is not None:
            yield event
        if isinstance(event, Finished):
            return


def lines_of(listing: bytes) -> list[Line]:
    """The JSON objects of a listing, one in each line.

    Raises:
        ListingDamaged: not the lines of a worker of ours.
    """
    texts = listing.splitlines()
    if max(map(len, texts), default=0) <= MAX_LINE:
        # Paths that are not UTF-8 come as lone surrogates, which this decoder refuses; they are few.
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            lines = _DECODER.decode_lines(listing)
            if len(lines) == len(texts):
                return lines
    return [_line(text) for text in texts]


def _line(text: bytes) -> Line:
    try:
        line = json.loads(text) if len(text) <= MAX_LINE else None
    except ValueError as error:
        raise ListingDamaged("a line of the listing is not JSON", remedy="use the same release") from error
    if not isinstance(line, dict):
        raise ListingDamaged("a line of the listing is not an object", remedy="use the same release")
    return line


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
