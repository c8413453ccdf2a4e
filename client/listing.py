"""Listings: a small restore that delivers JSON lines in place of files."""

import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

from client.delivery import ParcelReader, area_of, delivery_area
from client.errors import ClientError, Interrupted
from client.job import Finished, Job
from client.session import Session
from crypto import job as jobs
from crypto import notes
from crypto.parcel import read_parcel
from crypto.registry import VaultEntry

MAX_LINE: Final = 1 << 20
Line = dict[str, Any]
OnSnapshot: TypeAlias = Callable[[str, int], None]
"""Told which snapshot it is, as hex, and when that was made, in nanoseconds since 1970."""


class ListingDamaged(ClientError):
    """A listing that no worker of ours writes, or that did not arrive whole."""


def untold(snapshot: str, time_ns: int) -> None:
    """An OnSnapshot: nobody is told."""


def list_snapshots(session: Session, vault: VaultEntry, wanted: jobs.SnapshotFilter = jobs.ANY) -> list[Line]:
    """The vault's snapshots that are wanted, oldest first, and those that cannot be opened.

    Raises:
        JobFailed and others: see `client.job`. ListingDamaged: it did not arrive whole.
    """
    return list(_listing(session, vault, "", b"", wanted))


def list_entries(
    session: Session,
    vault: VaultEntry,
    snapshot: str,
    path: bytes,
    wanted: jobs.SnapshotFilter = jobs.ANY,
    on_snapshot: OnSnapshot = untold,
) -> Iterator[Line]:
    """The entries of a snapshot at and below `path` (all for b""), in path order.

    Args:
        session: connected.
        vault: whose.
        snapshot: an id, a prefix of one, or `latest`.
        path: absolute.
        wanted: among which snapshots `latest` is looked for.
        on_snapshot: told which snapshot it is.

    Raises:
        JobFailed and others: see `client.job`. ListingDamaged: it did not arrive whole.
    """
    return _listing(session, vault, snapshot, path, wanted, on_snapshot)


def path_of(entry: Line) -> bytes:
    """An entry's path, as the bytes that it is."""
    return os.fsencode(entry["path"])


def _listing(
    session: Session,
    vault: VaultEntry,
    snapshot: str,
    path: bytes,
    wanted: jobs.SnapshotFilter,
    on_snapshot: OnSnapshot = untold,
) -> Iterator[Line]:
    installation = session.installation
    area = area_of(installation)

    def make_spec(requester: bytes) -> jobs.Spec:
        return jobs.ListSpec(vault.repo, requester, snapshot, path, area, wanted)

    job = Job(session, jobs.LIST, vault.id, make_spec)
    with delivery_area(installation, job.id) as uri:
        heard: dict[int, int] = {}
        due = -1
        try:
            for note in _notes(job):
                if isinstance(note, notes.Parcel):
                    heard.setdefault(note.sequence, time.time_ns() // 1_000_000)
                elif isinstance(note, notes.Restoring):
                    on_snapshot(note.snapshot.hex(), note.time_ns)
                elif isinstance(note, notes.SegmentDone):
                    due = note.parcels
        except KeyboardInterrupt as error:
            job.cancel()
            raise Interrupted("interrupted") from error
        if due < 0:
            raise ListingDamaged("the listing did not arrive whole", remedy="try again")
        reader = ParcelReader(uri, job.id, installation.settings.store)
        for sequence in range(due):
            now_ms = heard.get(sequence, time.time_ns() // 1_000_000)
            sealed = reader.read(0, sequence)
            parcel = read_parcel(session.registry, sealed, job.id, 0, sequence, job.opening, now_ms)
            yield from _lines(parcel.table.listing)


def _notes(job: Job) -> Iterator[notes.Note]:
    job.submit()
    while True:
        event = job.next()
        if isinstance(event, Finished):
            return
        if event is not None:
            yield event


def _lines(listing: bytes) -> Iterator[Line]:
    for text in listing.splitlines():
        try:
            line = json.loads(text) if len(text) <= MAX_LINE else None
        except ValueError as error:
            raise ListingDamaged(
                "a line of the listing is not JSON", remedy="use the same release"
            ) from error
        if not isinstance(line, dict):
            raise ListingDamaged("a line of the listing is not an object", remedy="use the same release")
        yield line


def ask(session: Session, about: str) -> list[Line]:
    """What the scheduler knows about `schedules` or `jobs`.

    Raises:
        JobFailed and others: see `client.job`. ListingDamaged: the answer is not a list of objects.
    """
    nobody: Callable[[bytes], jobs.Spec] = lambda requester: jobs.AskSpec("", requester, about)  # noqa: E731
    finished = Job(session, jobs.ASK, bytes(16), nobody).run()
    try:
        answer = json.loads(finished.json)
    except ValueError as error:
        raise ListingDamaged("the scheduler's answer is not JSON", remedy="use the same release") from error
    if not isinstance(answer, list) or not all(isinstance(line, dict) for line in answer):
        raise ListingDamaged("the scheduler's answer is not a list", remedy="use the same release")
    return answer
