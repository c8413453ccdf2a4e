"""A bucket as the target of a restore.

No object has its key unless it is whole and verified. What is small is uploaded in one request when its digest is
right; what is large in parts, which S3 shows to nobody until the upload is completed, and that comes after the digest.
The parts of a huge object may come to several opener processes: they find its upload in a folder that they share.
"""

import tempfile
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from blake3 import blake3

from client.errors import ClientError, EntryDamaged
from client.restore.chunks import SLOTS, ParcelChunks
from client.restore.entries import check_digest
from client.restore.finish import Finisher, covered
from client.restore.messages import Part, SegmentReport
from client.restore.uploads import GrowingObject, Uploads
from config.errors import StrongroomError
from config.settings import StoreSettings
from crypto.parcel import OpenParcel, Piece
from sources.s3.bucket import Bucket
from sources.s3.metadata import ObjectMeta, decode, is_object
from sources.s3.names import ROOT, unescape
from sources.s3.place import BucketPath
from sources.s3.write import ObjectWriter, part_size
from sources.source import SourceError, TargetNotEmpty, UnsafePath

_AT_HAND: Final = 3 * (SLOTS // 2)
_EntryKey = tuple[bytes, int]


class BucketTarget:
    """A prefix of a bucket, reached with the credentials of whoever restores.

    Args:
        place: where; objects land below its prefix.
        settings: timeouts, and how much at once.
        overwrite: whether objects that are there may be replaced.

    Raises:
        TargetNotEmpty: there are objects, and they may not be.
        StoreError: the bucket cannot be reached.
    """

    def __init__(self, place: BucketPath, settings: StoreSettings, *, overwrite: bool) -> None:
        self._place, self._settings, self._overwrite = place, settings, overwrite
        bucket = Bucket(place.place, settings)
        if next(bucket.keys(place.folder, "", 1), None) is not None and not overwrite:
            raise TargetNotEmpty(
                place.path,
                f"there are objects in {place.place.shown} already, below the prefix to restore to",
                remedy="choose an empty prefix, or say --overwrite",
            )
        self._uploads = Uploads(Path(tempfile.mkdtemp(prefix="strongroom-uploads-")))
        self._keys: set[str] | None = None

    def assembler(self, strip: bytes) -> "BucketAssembler":
        """See Target."""
        return BucketAssembler(
            self._writer(), self._uploads, self._place.folder, strip, self._settings.parallel
        )

    def finish(self, finisher: Finisher) -> int:
        """See Target."""
        writer = self._writer()
        completed = 0
        for path, parts in finisher.parts.items():
            try:
                if finisher.is_lost(path) or not covered(parts):
                    finisher.fail([(path, "a part of it was not delivered")])
                    continue
                key = key_of(self._place.folder, path, finisher.strip)
                writer.complete(path, key, self._uploads.take(key), parts[0].size)
                self._uploads.forget(key)
                completed += 1
            except (SourceError, StrongroomError) as error:
                finisher.fail([(path, error.message)])
        self.remove()
        return completed

    def holds(self, path: bytes, strip: bytes) -> bool:
        """See Target."""
        if self._keys is None:
            bucket = Bucket(self._place.place, self._settings)
            self._keys = {found.key for found in bucket.keys(self._place.folder, "", 1000)}
        return key_of(self._place.folder, path, strip) in self._keys

    def remove(self) -> None:
        """See Target. What cannot be removed is not seen, and ends by the bucket's rule on unfinished uploads."""
        writer = self._writer()
        for key, upload in self._uploads.left():
            with suppress(StrongroomError):
                writer.abort(key, upload)
        self._uploads.close()

    def _writer(self) -> ObjectWriter:
        return ObjectWriter(Bucket(self._place.place, self._settings), overwrite=self._overwrite)


def key_of(folder: str, path: bytes, strip: bytes) -> str:
    """The key at which a path of the snapshot lands.

    Args:
        folder: what all keys begin with.
        strip: the path asked for, whose content lands in `folder`; an object itself, under its last name.

    Raises:
        UnsafePath: it is no object's.
    """
    _, _, bucket, *names = path.split(b"/") if path.startswith(ROOT + b"/") else (b"", b"", b"")
    top = b"/".join((ROOT, bucket))
    if not names:
        raise UnsafePath(path, "refused: it is no object of a bucket")
    if path == strip:
        return folder + unescape(names[-1])
    if strip.startswith(top):
        top = strip
    if not path.startswith(top + b"/"):
        raise UnsafePath(path, "refused: it lies outside the part that is being restored")
    return folder + unescape(path[len(top) + 1 :])


@dataclass
class _Segment:
    done: set[_EntryKey] = field(default_factory=set)
    started: set[_EntryKey] = field(default_factory=set)
    failed: dict[bytes, str] = field(default_factory=dict)
    notes: list[tuple[bytes, str]] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)


class BucketAssembler:
    """Writes the objects of parcel after parcel, in one opener process.

    Args:
        writer: of the target.
        uploads: of this restore.
        folder: what all keys begin with.
        strip: the path that the person asked for.
        parallel: requests at once.
    """

    def __init__(
        self, writer: ObjectWriter, uploads: Uploads, folder: str, strip: bytes, parallel: int
    ) -> None:
        self._writer, self._uploads, self._folder, self._strip = writer, uploads, folder, strip
        self._pool = ThreadPoolExecutor(parallel, "objects")
        self._chunks = ParcelChunks()
        self._segments: dict[int, _Segment] = {}
        self._growing: dict[_EntryKey, GrowingObject] = {}

    def take(self, segment: int, parcel: OpenParcel) -> tuple[int, int]:
        """See Assembling. Small objects of one parcel are uploaded side by side."""
        state = self._segments.setdefault(segment, _Segment())
        self._chunks.begin(parcel.table.chunks, parcel.payload)
        files = byte_count = 0
        under_way: list[tuple[Piece, Future[list[str]]]] = []
        for piece in parcel.table.pieces:
            key = (piece.path, piece.part_offset)
            if key in state.done:
                continue
            try:
                meta = _meta(piece)
                if _is_small(piece):
                    under_way.append((piece, self._put(piece, meta)))
                    continue
                byte_count += self._grow(state, key, piece, meta)
                if piece.last:
                    self._ended(state, key)
                    files += piece.part_length < 0  # the finisher counts what came in parts
            except (SourceError, ClientError) as error:
                self._abandon(key)
                state.failed.setdefault(piece.path, error.message)
        for piece, written in under_way:
            try:
                state.notes += [(piece.path, note) for note in written.result()]
            except SourceError as error:
                state.failed.setdefault(piece.path, error.message)
            else:
                self._ended(state, (piece.path, piece.part_offset))
                files += 1
                byte_count += piece.size
        self._chunks.end()
        return files, byte_count

    def end_segment(self, segment: int) -> SegmentReport:
        """See Assembling."""
        state = self._segments.pop(segment, _Segment())
        for key in [key for key in self._growing if key in state.started]:
            self._abandon(key)
            state.failed.setdefault(key[0], "its end was not delivered")
        return SegmentReport(
            segment, tuple(state.failed.items()), tuple(state.notes), (), (), tuple(state.parts)
        )

    def close(self) -> None:
        """See Assembling."""
        for key in list(self._growing):
            self._abandon(key)
        self._pool.shutdown(cancel_futures=True)

    def _put(self, piece: Piece, meta: ObjectMeta) -> "Future[list[str]]":
        if len(piece.extents) % 3:
            raise EntryDamaged("its stored list of chunks is cut short")
        data = b"".join(self._views(piece))
        check_digest(piece, blake3(data).digest(), len(data))
        key = key_of(self._folder, piece.path, self._strip)
        return self._pool.submit(self._writer.put, piece.path, key, meta, data)

    def _grow(self, state: _Segment, key: _EntryKey, piece: Piece, meta: ObjectMeta) -> int:
        if not piece.data_offset:
            self._abandon(key)  # a segment that is delivered again begins again
            _require_parts(piece)
            name = key_of(self._folder, piece.path, self._strip)
            upload, notes = self._uploads.join(self._writer, piece.path, name, meta)
            state.notes += [(piece.path, note) for note in notes]
            state.started.add(key)
            self._growing[key] = GrowingObject(self._writer, self._pool, piece, name, upload)
        entry = self._growing.get(key)
        if entry is None or entry.received != piece.data_offset:
            raise EntryDamaged("an earlier part of it was not delivered")
        before = entry.received
        entry.write(self._views(piece))
        if piece.last:
            self._complete(state, entry, piece)
            del self._growing[key]
        return entry.received - before

    def _complete(self, state: _Segment, entry: GrowingObject, piece: Piece) -> None:
        entry.end(piece)
        if piece.part_length >= 0:
            state.parts.append(Part(piece.path, piece.size, piece.part_offset, piece.part_length, piece.meta))
            return
        self._writer.complete(piece.path, entry.key, entry.upload, piece.size)
        self._uploads.forget(entry.key)

    def _ended(self, state: _Segment, key: _EntryKey) -> None:
        state.done.add(key)
        state.failed.pop(key[0], None)  # an earlier delivery of it was damaged

    def _views(self, piece: Piece) -> Iterable[memoryview]:
        numbers = iter(piece.extents)
        for number, offset, length in zip(numbers, numbers, numbers, strict=True):
            yield self._chunks.view(number, offset, length)

    def _abandon(self, key: _EntryKey) -> None:
        entry = self._growing.pop(key, None)
        if entry is not None:
            entry.stop()


def _is_small(piece: Piece) -> bool:
    whole = piece.last and not piece.data_offset and piece.part_length < 0
    return whole and len(piece.extents) <= _AT_HAND


def _require_parts(piece: Piece) -> None:
    """Refuse what cannot be uploaded in parts because its own parts are smaller than those of an upload."""
    last = piece.part_offset + piece.part_length >= piece.size
    if 0 <= piece.part_length < part_size(piece.size) and not last:
        raise EntryDamaged(
            "it is too large to be restored to a bucket", remedy="restore it to a folder, and upload it"
        )


def _meta(piece: Piece) -> ObjectMeta:
    if piece.kind != "f" or piece.ranges or not is_object(piece.meta):
        raise EntryDamaged(
            "it is a file and no object: only a bucket's snapshot can be restored to a bucket",
            remedy="restore it to a folder",
        )
    return decode(piece.meta, piece.path)
