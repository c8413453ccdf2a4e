"""Parcels: pieces of a restore, sealed under a temporary key that only the requester can open.

A parcel is a head in clear (opaque ids, the temporary key sealed by HPKE to the requester, the worker's signature)
and one Cobblestone-256 message: a table, then the chunks' bytes, still compressed. docs/format.md gives the bytes.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec

from crypto import canonical, hpke
from crypto.certificate import ProcessKeys, ProcessSigned, verify_process
from crypto.errors import Malformed, Untrusted
from crypto.hpke import HpkeKey
from crypto.registry import RESTORE, Registry
from crypto.sealing import Buffer, open_into, seal_into, sealed_length
from crypto.secret import SecretKey
from crypto.signing import Domain

PARCEL_VERSION = 1
MAX_HEAD = 64 * 1024
MAX_PARCEL = 256 << 20
MAX_TABLE = 64 << 20
MAX_NUMBER = 0xFFFF_FFFF
"""Segments and the parcels of one are numbered from 0 to this."""
_LENGTH = struct.Struct(">I")

Room = Callable[[int], memoryview]
"""Gives that many writable bytes; what was in those that it gave before may be lost."""


class Piece(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Part of an entry, or the whole of it."""

    path: bytes
    kind: str
    size: int
    """Logical size of the whole file."""
    meta: bytes
    """The source's own metadata, opaque here."""
    digest: bytes
    """BLAKE3 of the data that this entry covers (its part of the file, without holes); empty where there is none."""
    ranges: tuple[tuple[int, int], ...]
    """Where the data lies in a sparse file: (offset, length); empty when it lies in one piece."""
    part_offset: int
    """Where in the file this entry's data begins; 0 but for the later parts of a huge file."""
    part_length: int
    """How much of the file this entry covers, -1 for all."""
    data_offset: int
    """How much of this entry's data earlier parcels of the segment have brought."""
    last: bool
    """Whether this piece ends the entry."""
    extents: tuple[int, ...]
    """Flat triples: chunk number in this parcel, offset, length."""

    def __repr__(self) -> str:
        """The kind only: a traceback or a log must not show a path."""
        return "<Piece>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


Length = Annotated[int, msgspec.Meta(ge=0, le=MAX_PARCEL)]


class ChunkInfo(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How a chunk lies in the parcel: compression codec, plain length, and length here."""

    codec: int
    raw_length: Length
    length: Length


class ParcelTable(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What is in a parcel. `listing` is used by jobs that deliver JSON in place of files."""

    chunks: tuple[ChunkInfo, ...]
    pieces: tuple[Piece, ...]
    listing: bytes
    snapshot: bytes = b""
    """What the pieces are from, 16 bytes: parcels of two snapshots never make one tree. Empty for a listing."""


class ParcelHead(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Signed by the restore worker (domain PARCEL)."""

    version: int
    job: bytes
    segment: int
    sequence: int
    key: bytes
    """The temporary key, sealed by HPKE to the requester."""


class OpenParcel(NamedTuple):
    """A parcel that was verified and opened; `payload` holds the chunks one after another."""

    table: ParcelTable
    payload: memoryview


def _bound(job: bytes, segment: int, sequence: int) -> bytes:
    if not (0 <= segment <= MAX_NUMBER and 0 <= sequence <= MAX_NUMBER):
        raise Malformed("there is no parcel of that number")
    return hpke.info(Domain.PARCEL, job, segment.to_bytes(4, "big"), sequence.to_bytes(4, "big"))


def write_parcel(
    keys: ProcessKeys,
    requester: bytes,
    job: bytes,
    segment: int,
    sequence: int,
    table: ParcelTable,
    payload: Sequence[Buffer],
    *,
    room: Room | None = None,
) -> list[Buffer]:
    """Seal one parcel under a fresh temporary key, which is wiped before this returns.

    Args:
        requester: HPKE public key of who asked for the restore.
        payload: the chunks' bytes in the order of `table.chunks`.
        room: for the sealed bytes; fresh memory when there is none.

    Returns:
        The parcel as buffers to be written one after another.

    Raises:
        Malformed: `requester` is not a key, or the parcel would be larger than a reader accepts.
    """
    bound = _bound(job, segment, sequence)
    temporary = SecretKey.generate()
    try:
        sealed_key = hpke.seal_to(requester, bound, temporary.view())
        head = canonical.encode(
            keys.sign(Domain.PARCEL, ParcelHead(PARCEL_VERSION, job, segment, sequence, sealed_key))
        )
        encoded = canonical.encode(table)
        parts: list[Buffer] = [_LENGTH.pack(len(encoded)), encoded, *payload]
        length = sealed_length(sum(map(len, parts)))
        if len(encoded) > MAX_TABLE or _LENGTH.size + len(head) + length > MAX_PARCEL:
            raise Malformed("a parcel is too large", remedy="put less into one parcel")
        out = (room or _fresh)(length)
        seal_into(temporary, bound, parts, out)
    finally:
        temporary.wipe()
    return [_LENGTH.pack(len(head)), head, out]


def read_parcel(
    registry: Registry,
    data: memoryview,
    job: bytes,
    segment: int,
    sequence: int,
    opening: HpkeKey,
    now_ms: int,
    *,
    room: Room | None = None,
) -> OpenParcel:
    """Check where a parcel comes from and what it belongs to, and open it.

    Args:
        data: the whole parcel, at most `MAX_PARCEL` bytes.
        opening: the requester's temporary private key.
        room: for the plain bytes; fresh memory when there is none.

    Raises:
        Untrusted, Expired: not from an enrolled restore worker.
        Malformed, SealBroken: altered, cut short, or another parcel than the one expected.
    """
    if not _LENGTH.size <= len(data) <= MAX_PARCEL:
        raise Malformed("a parcel is cut short or too large")
    (head_length,) = _LENGTH.unpack(data[: _LENGTH.size])
    body_at = _LENGTH.size + head_length
    if head_length > MAX_HEAD or body_at > len(data):
        raise Malformed("a parcel's head is cut short or too large")
    signed = canonical.decode(ProcessSigned, data[_LENGTH.size : body_at])
    _, head = verify_process(registry, (RESTORE,), Domain.PARCEL, signed, ParcelHead, now_ms)
    if (head.version, head.job, head.segment, head.sequence) != (PARCEL_VERSION, job, segment, sequence):
        raise Untrusted("the parcel is not the one it stands for")
    bound = _bound(job, segment, sequence)
    plain_key = bytearray(opening.open(head.key, bound))
    temporary = SecretKey(plain_key)
    plain_key[:] = bytes(len(plain_key))
    try:
        out = (room or _fresh)(len(data) - body_at)
        length = open_into(temporary, bound, data[body_at:], out)
    finally:
        temporary.wipe()
    return _split(out[:length])


def _fresh(size: int) -> memoryview:
    return memoryview(bytearray(size))


def _split(plain: memoryview) -> OpenParcel:
    if len(plain) < _LENGTH.size:
        raise Malformed("a parcel has no table")
    (table_length,) = _LENGTH.unpack(plain[: _LENGTH.size])
    payload_at = _LENGTH.size + table_length
    if table_length > MAX_TABLE or payload_at > len(plain):
        raise Malformed("a parcel's table is cut short or too large")
    table = canonical.decode(ParcelTable, plain[_LENGTH.size : payload_at], limit=MAX_TABLE)
    payload = plain[payload_at:]
    if sum(chunk.length for chunk in table.chunks) != len(payload):
        raise Malformed("a parcel's table does not add up")
    return OpenParcel(table, payload)
