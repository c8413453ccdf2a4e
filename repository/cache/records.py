"""The bytes of one chunk in the cache: 52, with a checksum, because LMDB has none.

    chunk id 32 | number of the pack u32 | offset u32 | sealed length u32 | codec u8, raw length u24 | CRC-32

The id is the key in the table, the rest its value. A further place of a chunk has a key of its own, which comes right
after it: the id and the number of the pack.
"""

import struct
from collections.abc import Iterator
from typing import Any, Final, NamedTuple
from zlib import crc32

from repository.errors import CacheDamaged
from repository.layout import CHUNK_ID
from repository.pack import RECORD

_PLACE: Final = struct.Struct(">IIII")
_CHECK: Final = struct.Struct(">I")
LENGTH: Final = CHUNK_ID + _PLACE.size + _CHECK.size
_RAW: Final = (1 << 24) - 1


class Place(NamedTuple):
    """Where a chunk is, its pack by number."""

    pack: int
    offset: int
    sealed_len: int
    raw_len: int
    codec: int


def encoded(pack: int, records: bytes) -> Iterator[bytes]:
    """The cache's records of a pack's table, in its order."""
    place, check = _PLACE.pack, _CHECK.pack
    for chunk_id, offset, sealed, raw, codec in RECORD.iter_unpack(records):
        record = chunk_id + place(pack, offset, sealed, codec << 24 | raw)
        yield record + check(crc32(record))


def again(chunk_id: bytes, value: bytes) -> tuple[bytes, bytes]:
    """The entry of a further place of a chunk, from what its value would be if it were the first."""
    number = value[: _CHECK.size]
    return with_check(chunk_id + number, value[: -_CHECK.size])


def require_whole(key: bytes, value: bytes) -> None:
    """Refuse a value that is not what was written under this key.

    Raises:
        CacheDamaged: it is not.
    """
    if crc32(value[:-4], crc32(key)) != int.from_bytes(value[-4:], "big"):
        raise CacheDamaged("an entry of the cache is damaged")


def decoded(chunk_id: bytes, value: bytes) -> Place:
    """The place that a value says.

    Raises:
        CacheDamaged: it is not what was written under this id.
    """
    pack, offset, sealed, lengths = checked(chunk_id, value, _PLACE)
    return Place(pack, offset, sealed, lengths & _RAW, lengths >> 24)


def with_check(key: bytes, value: bytes) -> tuple[bytes, bytes]:
    """An entry whose value ends in the checksum of both."""
    return key, value + _CHECK.pack(crc32(value, crc32(key)))


def checked(key: bytes, value: bytes, layout: struct.Struct) -> tuple[Any, ...]:
    """The fields of a value that `with_check` made.

    Raises:
        CacheDamaged: it is not what was written under this key.
    """
    require_whole(key, value)
    if len(value) != layout.size + _CHECK.size:
        raise CacheDamaged("an entry of the cache is damaged")
    return layout.unpack_from(value)
