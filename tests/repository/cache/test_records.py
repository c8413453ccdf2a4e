"""The bytes of an entry, and that no altered one is taken for whole."""

import random
import struct

import pytest

from crypto.sealing import sealed_length
from repository.cache.records import LENGTH, Place, checked, decoded, encoded, require_whole, with_check
from repository.chunker import MAX_CHUNK
from repository.compression import RAW
from repository.errors import CacheDamaged
from repository.pack import MAX_PACK, RECORD

ID = random.Random(1).randbytes(32)


@pytest.mark.parametrize(
    "place",
    [Place(0, 62, 82, 10, RAW), Place((1 << 32) - 1, MAX_PACK, sealed_length(MAX_CHUNK), MAX_CHUNK, 1)],
)
def test_a_place_comes_back(place: Place) -> None:
    (record,) = encoded(place.pack, RECORD.pack(ID, *place[1:]))
    assert (len(record), record[:32]) == (LENGTH, ID)
    assert decoded(ID, record[32:]) == place


def test_no_altered_entry_is_whole() -> None:
    (record,) = encoded(7, RECORD.pack(ID, 62, 82, 10, RAW))
    require_whole(ID, record[32:])
    for bit in range(8 * LENGTH):
        altered = bytearray(record)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CacheDamaged):
            decoded(bytes(altered[:32]), bytes(altered[32:]))
    with pytest.raises(CacheDamaged):
        decoded(ID, record[33:])


def test_a_value_of_another_length_is_refused() -> None:
    key, value = with_check(b"key", b"1234")
    assert checked(key, value, struct.Struct(">4s")) == (b"1234",)
    with pytest.raises(CacheDamaged):
        checked(key, value, struct.Struct(">3s"))
