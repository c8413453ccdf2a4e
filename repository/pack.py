"""Packs: many sealed chunks in one object, with a sealed table at the end (docs/format.md, "Pack").

header | chunk message ... | table message | footer message, together a multiple of 16 KiB. Everything but
the header is sealed, and the padding is inside the table, so the store sees one size rounded up and no
chunk boundary. A chunk message is bound to its vault, epoch and chunk id, not to its pack.
"""

import os
import struct
from typing import Final

from crypto.errors import SealBroken
from crypto.header import MAX_HEADER, Kind
from crypto.sealing import PIECE, TAG, open_sealed, seal_into, sealed_length
from repository.access import KeyRing, VaultId
from repository.buffers import scratch
from repository.chunker import MAX_CHUNK
from repository.compression import CODECS, RAW, Buffer
from repository.errors import ObjectDamaged, TooLarge
from repository.layout import CHUNK_ID, ID, pack_name
from repository.manifest import PackSummary
from repository.objects import any_epoch, check_header
from repository.store import ReadStore, WriteStore

RECORD: Final = struct.Struct(">32sIIIB")
"""Chunk id, offset in the pack, sealed length, raw length, codec."""
FOOTER: Final = struct.Struct(">II")
"""Length of the sealed table, number of records."""

TARGET = 64 << 20
"""A pack is stored as soon as it has this many bytes."""
GRAIN = 16 << 10
MAX_RECORDS = 16_384
FOOTER_LENGTH = sealed_length(FOOTER.size)
MAX_TABLE = RECORD.size * MAX_RECORDS + 2 * GRAIN
MAX_PACK = TARGET + sealed_length(MAX_CHUNK) + sealed_length(MAX_TABLE) + MAX_HEADER + FOOTER_LENGTH + GRAIN
_HEADER_LENGTH = MAX_HEADER - CHUNK_ID + ID


def buffer_size(target: int = TARGET) -> int:
    """Bytes that a writer of packs of about `target` bytes needs."""
    return target + sealed_length(MAX_CHUNK) + sealed_length(MAX_TABLE) + FOOTER_LENGTH + _HEADER_LENGTH


class PackWriter:
    """Seals chunks into one reused buffer and stores it as a pack.

    Args:
        vault: whose packs.
        epoch: the open epoch; its DEK is asked of `keys` for each chunk, so that a revoked key acts at once.
        keys: the vault's keys.
        target: `full` from this many bytes on; the default outside tests.
        buffer: of `buffer_size(target)` bytes, from `buffers.scratch`; pass the same one again to spare the allocation.
    """

    def __init__(
        self,
        vault: VaultId,
        epoch: int,
        keys: KeyRing,
        target: int = TARGET,
        buffer: memoryview | None = None,
    ) -> None:
        self._vault = vault
        self._epoch = epoch
        self._keys = keys
        self._target = target
        self._buffer = scratch(buffer_size(target)) if buffer is None else buffer
        self._limit = len(self._buffer) - sealed_length(MAX_TABLE) - FOOTER_LENGTH
        self._end = _HEADER_LENGTH
        self._records = bytearray()
        self._ids: set[bytes] = set()

    def __contains__(self, chunk_id: bytes) -> bool:
        return chunk_id in self._ids

    @property
    def full(self) -> bool:
        """Whether it is time to flush; `add` has room for at least one chunk while this is False."""
        return self._end >= self._target or len(self._ids) >= MAX_RECORDS

    def add(self, chunk_id: bytes, payload: Buffer, raw_len: int, codec: int) -> int:
        """Seal one chunk into the pack.

        Args:
            chunk_id: 32 bytes, not in the pack yet.
            payload: the chunk's bytes as `codec` has them.
            raw_len: plain bytes of the chunk, 1 to MAX_CHUNK.

        Returns:
            Sealed bytes taken.

        Raises:
            TooLarge: the pack is full, or the chunk is over the limit.
            StrongroomError: the key ring has no key any more.
        """
        length = sealed_length(len(payload))
        if not 0 < raw_len <= MAX_CHUNK or self._end + length > self._limit or len(self._ids) >= MAX_RECORDS:
            raise TooLarge("the chunk does not fit: flush the pack when it is full")
        context = self._vault.header(Kind.CHUNK, self._epoch, chunk_id).encode()
        seal_into(self._keys.dek(self._epoch), context, payload, self._buffer[self._end : self._end + length])
        self._records += RECORD.pack(chunk_id, self._end, length, raw_len, codec)
        self._ids.add(chunk_id)
        self._end += length
        return length

    def flush(self, store: WriteStore) -> PackSummary | None:
        """Store what was added as one pack and begin the next; None when there was nothing.

        Raises:
            StoreError: nothing was lost: flushing again writes the same chunks under a new pack id.
        """
        if not self._ids:
            return None
        pack_id = os.urandom(ID)
        size = self._close(pack_id)
        store.put(pack_name(pack_id), [self._buffer[:size]])
        summary = PackSummary(pack_id, self._epoch, size, bytes(self._records))
        self.discard()
        return summary

    def discard(self) -> None:
        """Forget what was added and not flushed."""
        self._end = _HEADER_LENGTH
        self._records.clear()
        self._ids.clear()

    def _close(self, pack_id: bytes) -> int:
        header = self._vault.header(Kind.PACK, self._epoch, pack_id)
        self._buffer[:_HEADER_LENGTH] = header.encode()
        key = self._keys.dek(self._epoch)
        table_plain = bytes(self._records).ljust(_padded(self._end, len(self._records)), b"\0")
        table = sealed_length(len(table_plain))
        at = self._end
        context = header._replace(kind=Kind.PACK_TABLE).encode()
        at += seal_into(key, context, table_plain, self._buffer[at : at + table])
        context = header._replace(kind=Kind.PACK_FOOTER).encode()
        footer = FOOTER.pack(table, len(self._ids))
        return at + seal_into(key, context, footer, self._buffer[at : at + FOOTER_LENGTH])


def read_table(store: ReadStore, vault: VaultId, keys: KeyRing, pack_id: bytes) -> PackSummary:
    """The table of a stored pack, from the store alone.

    Raises:
        ObjectMissing, StoreError: from the store.
        UnknownFormat, VaultMismatch, WrongObject, ObjectDamaged: the pack is not to be trusted.
    """
    name = pack_name(pack_id)
    # 1. The size is one that a pack can have.
    size = store.size(name)
    if size % GRAIN or not GRAIN <= size <= MAX_PACK:
        raise ObjectDamaged(f"{name}: no pack has {size} bytes", remedy="run `strongroom check`")
    # 2. The header is known, and of this vault, kind and id.
    start = store.get_range(name, 0, MAX_HEADER)
    header, begin = check_header(start, name, any_epoch(vault, Kind.PACK, pack_id))
    key = keys.dek(header.epoch)
    try:
        # 3. The footer opens, and what it says fits into the pack.
        context = header._replace(kind=Kind.PACK_FOOTER).encode()
        footer = open_sealed(key, context, store.get_range(name, size - FOOTER_LENGTH, FOOTER_LENGTH))
        table_length, count = FOOTER.unpack(footer)
        end = size - FOOTER_LENGTH - table_length
        if end < begin or table_length > sealed_length(MAX_TABLE):
            raise ObjectDamaged(f"{name}: its table does not fit into it")
        # 4. The table opens; 5. its records are lawful and describe every byte before it.
        context = header._replace(kind=Kind.PACK_TABLE).encode()
        table = open_sealed(key, context, store.get_range(name, end, table_length))
    except SealBroken as error:
        raise ObjectDamaged(f"{name}: {error.message}", remedy="run `strongroom check`") from error
    summary = PackSummary(pack_id, header.epoch, size, table[: count * RECORD.size])
    check_summary(summary, count=count)
    if _last_end(summary.records) != end or any(table[len(summary.records) :]):
        raise ObjectDamaged(f"{name}: its table does not describe all of it")
    return summary


def check_summary(summary: PackSummary, count: int | None = None) -> None:
    """Refuse a pack's table that breaks a rule, wherever it was read.

    Raises:
        ObjectDamaged: records missing, out of place, overlapping, or of impossible lengths or codecs.
    """
    name = pack_name(summary.id)
    total, rest = divmod(len(summary.records), RECORD.size)
    if rest or not 0 < total <= MAX_RECORDS or (count is not None and count != total):
        raise ObjectDamaged(f"{name}: its table is cut short")
    if summary.size % GRAIN or not GRAIN <= summary.size <= MAX_PACK:
        raise ObjectDamaged(f"{name}: no pack has {summary.size} bytes")
    expected = _HEADER_LENGTH
    ids = set()
    for chunk_id, offset, sealed, raw, codec in RECORD.iter_unpack(summary.records):
        plain = sealed_length(raw)
        lawful = sealed == plain if codec == RAW else sealed_length(0) < sealed <= plain
        if offset != expected or not 0 < raw <= MAX_CHUNK or codec not in CODECS or not lawful:
            raise ObjectDamaged(f"{name}: its table breaks a rule")
        expected = offset + sealed
        ids.add(chunk_id)
    if len(ids) != total or expected + FOOTER_LENGTH > summary.size:
        raise ObjectDamaged(f"{name}: its table names a chunk twice, or more bytes than there are")


def _last_end(records: bytes) -> int:
    _, offset, sealed, _, _ = RECORD.unpack_from(records, len(records) - RECORD.size)
    return int(offset + sealed)


def _padded(end: int, table: int) -> int:
    """The least table length, not under `table`, that makes the whole pack a multiple of GRAIN."""
    total = -(-(end + sealed_length(table) + FOOTER_LENGTH) // GRAIN) * GRAIN
    while True:
        pieces, last = divmod(total - end - FOOTER_LENGTH - sealed_length(0), PIECE + TAG)
        # A sealed length just above a whole number of pieces does not exist: its tag would be missing.
        if last < PIECE and pieces * PIECE + last >= table:
            return pieces * PIECE + last
        total += GRAIN
