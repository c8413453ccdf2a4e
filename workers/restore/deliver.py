"""One segment of a restore: fetch the chunks of a manifest's files, and deliver them re-sealed, still compressed.

A chunk that cannot be had fails the files that need it, by name, and no others.
"""

from collections.abc import Iterable, Iterator

from crypto import notes, report
from crypto.parcel import ChunkInfo, ParcelTable, Piece
from repository.catalog import read_manifest
from repository.errors import ChunkMissing, ObjectMissing, RepositoryError
from repository.fetch import Fetcher, FetchFailure
from repository.layout import CHUNK_ID
from repository.manifest import Entry, Manifest, ManifestRef, Snapshot
from sources.source import Note
from workers.admission import Stray
from workers.reporting import Reporter, in_letters
from workers.restore.batch import Batch, batches
from workers.restore.parcels import ParcelWriter
from workers.restore.session import NoSuchSnapshot, RestoreSession


def deliver_segment(session: RestoreSession, reporter: Reporter, snapshot_id: str, number: int) -> None:
    """Deliver what is wanted of segment `number` of a snapshot; what is delivered says which snapshot it is from.

    Raises:
        Stray: there is no such segment, the message was not from a plan; or the job is over.
        RequesterGone: nobody takes what is delivered.
        StoreError, KeyRefused, KeyBrokerSilent: nothing can be said about the files; the segment is not done.
    """
    writer = ParcelWriter(session, reporter, number)
    writer.pace.require_wanted()
    snapshot, refs = _planned(session, snapshot_id, number)
    ref = refs[number]
    try:
        manifest = read_manifest(session.store, session.vault, session.keys, ref)
    except RepositoryError as error:
        failed, torn = [_unreadable(ref, error)], []
    else:
        failed = _Delivery(session, reporter, writer, manifest, snapshot.id).run(number)
        torn = _torn(session, snapshot, manifest, {path for path, _ in failed})
    count = len(failed) + len(torn)
    for group in in_letters(failed):
        reporter.note(notes.SegmentDone(number, writer.sequence, group, count, snapshot.id))
    for group in in_letters(torn) if torn else ():
        reporter.note(notes.SegmentDone(number, writer.sequence, (), count, snapshot.id, group))
    reporter.report(report.SEGMENT, segment=number)
    if session.in_order and number + 1 < len(refs):
        session.wake_segment(snapshot.id, number + 1)


def _planned(session: RestoreSession, snapshot_id: str, number: int) -> tuple[Snapshot, list[ManifestRef]]:
    try:
        planned = session.planned(snapshot_id)
    except NoSuchSnapshot as error:
        raise Stray("there is no such snapshot") from error
    if not 0 <= number < len(planned.refs):
        raise Stray("this restore has no such segment")
    return planned.snapshot, planned.refs


def _torn(session: RestoreSession, snapshot: Snapshot, manifest: Manifest, named: set[bytes]) -> list[Note]:
    """What is delivered as it was read, but was not whole when it was read: who restores it must know."""
    why = dict(snapshot.errors)
    return [
        (entry.path, f"was not whole when it was backed up: {why[entry.path]}")
        for entry in session.selection().entries(manifest.entries if why else ())
        if entry.path in why and entry.path not in named and entry.part_offset == 0
    ]


def _unreadable(ref: ManifestRef, error: RepositoryError) -> Note:
    where = f"everything from here to {ref.last.decode('utf-8', 'backslashreplace')}, {ref.files} files,"
    return ref.first, f"{where} is lost to a damaged manifest: {error.message}"


_Chunk = tuple[ChunkInfo, memoryview]


def _is_gone(error: RepositoryError) -> bool:
    """Whether a chunk is not where the index said, or the index does not say."""
    return isinstance(error, ChunkMissing) or isinstance(error.__cause__, ObjectMissing)


class _Delivery:
    """The delivery of one manifest; files that cannot be delivered collect in `failed`."""

    def __init__(
        self,
        session: RestoreSession,
        reporter: Reporter,
        writer: ParcelWriter,
        manifest: Manifest,
        snapshot: bytes,
    ) -> None:
        self._session = session
        self._reporter = reporter
        self._writer = writer
        self._manifest = manifest
        self._snapshot = snapshot
        self._index = session.index()
        self._fetcher = Fetcher(
            session.store, session.vault, session.keys, self._index, session.own.fetching()
        )
        # Looked up once for each chunk, not for each of the many files in it; None: it is in no pack.
        self._sizes = self._stored_sizes()
        if None in self._sizes:
            session.look_again()
            self._sizes = self._stored_sizes()
        self._failed: dict[bytes, str] = {}
        self._files = 0
        self._bytes = 0

    def run(self, number: int) -> list[Note]:
        wanted = self._session.selection().entries(self._manifest.entries)
        for batch in batches(self._possible(wanted), lambda number: self._sizes[number] or 0):
            self._deliver(batch)
            self._reporter.progress(number, self._files, self._bytes)
        return list(self._failed.items())

    def _possible(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Entries all of whose chunks are known to be somewhere."""
        sizes = self._sizes
        for entry in entries:
            missing = next((number for number in entry.extents[::3] if sizes[number] is None), None)
            if missing is None:
                yield entry
            else:
                self._failed[entry.path] = f"chunk {self._chunk_id(missing).hex()} is in no pack"

    def _chunk_id(self, number: int) -> bytes:
        return self._manifest.chunk_ids[CHUNK_ID * number : CHUNK_ID * (number + 1)]

    def _stored_sizes(self) -> list[int | None]:
        return [self._stored_size(number) for number in range(len(self._manifest.chunk_lengths))]

    def _stored_size(self, number: int) -> int | None:
        try:
            return self._index.locate(self._chunk_id(number)).sealed_len
        except ChunkMissing:
            return None

    def _deliver(self, batch: Batch) -> None:
        # A manifest may name a chunk twice: content that occurs twice in one segment is stored once.
        wanted = [self._chunk_id(number) for number in batch.chunks]
        chunks, lost = self._fetch(wanted)
        if any(_is_gone(error) for error in lost.values()):
            # All of it once more: what was fetched is only good until the next fetch.
            self._session.look_again()
            chunks, lost = self._fetch(wanted)
        bad = {
            position: lost[chunk_id].message for position, chunk_id in enumerate(wanted) if chunk_id in lost
        }
        pieces = [piece for piece in batch.pieces if self._whole(piece, bad)]
        found = [chunks.get(chunk_id, _LOST) for chunk_id in wanted]
        table = ParcelTable(tuple(info for info, _ in found), tuple(pieces), b"", self._snapshot)
        self._writer.deliver(table, [payload for _, payload in found], pacing=True)
        self._files += sum(piece.last for piece in pieces)
        self._bytes += sum(length for piece in pieces for length in piece.extents[2::3])

    def _fetch(self, wanted: list[bytes]) -> tuple[dict[bytes, _Chunk], dict[bytes, RepositoryError]]:
        chunks: dict[bytes, _Chunk] = {}
        lost: dict[bytes, RepositoryError] = {}
        for fetched in self._fetcher.fetch(wanted):
            if isinstance(fetched, FetchFailure):
                lost[fetched.chunk_id] = fetched.error
                continue
            payload = fetched.payload
            self._session.keys.charge(fetched.epoch, 1, len(payload))
            chunks[fetched.chunk_id] = (ChunkInfo(fetched.codec, fetched.raw_len, len(payload)), payload)
        return chunks, lost

    def _whole(self, piece: Piece, bad: dict[int, str]) -> bool:
        if piece.path in self._failed:
            return False
        for position in piece.extents[::3]:
            if position in bad:
                self._failed[piece.path] = bad[position]
                return False
        return True


_LOST = (ChunkInfo(0, 0, 0), memoryview(b""))
"""Stands in a parcel for a chunk that could not be had; no piece of the parcel refers to it."""
