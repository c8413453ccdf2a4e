"""FastCDC 2020 in plain Python, written for clearness and sharing no code with the chunker in use.

source: W. Xia et al., "The Design of Fast Content-Defined Chunking for Data Deduplication Based Storage
Systems", IEEE TPDS 31(9), 2020: gear hash, cut-point skipping, normalized chunking. Rolling two bytes at a time,
as the paper also does, changes the speed and not the boundaries, so this rolls one.
source: the gear table and masks of the fastcdc-rs implementation. It documents an entry of the table as the first
8 bytes of MD5 over 64 equal bytes; of its masks only those needed here are listed.
"""

import hashlib
from collections.abc import Iterator

GEAR = [int.from_bytes(hashlib.md5(bytes([byte]) * 64).digest()[:8], "big") for byte in range(256)]
MASKS = {
    8: 0x0000001800035300,
    10: 0x0000590003530000,
    11: 0x0000D90003530000,
    12: 0x0000D90103530000,
    13: 0x0000D90303530000,
    14: 0x0000D90313530000,
    16: 0x0000D90303537000,
    18: 0x0000D90707537000,
    22: 0x0000D93767537000,
}
_WORD = 0xFFFF_FFFF_FFFF_FFFF


def cut(data: bytes, smallest: int, average: int, largest: int, level: int, seed: int) -> Iterator[int]:
    """The length of each chunk of `data`, in order.

    Args:
        smallest, average, largest: chunk sizes in bytes; average a power of two.
        level: normalization level.
        seed: XORed into every entry of the gear table.
    """
    gear = [entry ^ seed for entry in GEAR]
    bits = average.bit_length() - 1
    strict, loose = MASKS[bits + level], MASKS[bits - level]
    start = 0
    while start < len(data):
        length = _chunk(data[start : start + largest], gear, smallest, average, strict, loose)
        yield length
        start += length


def _chunk(window: bytes, gear: list[int], smallest: int, average: int, strict: int, loose: int) -> int:
    """Length of the chunk that begins `window`: up to the first byte whose hash has the mask's bits zero."""
    fingerprint = 0
    for position in range(smallest, len(window)):
        fingerprint = ((fingerprint << 1) + gear[window[position]]) & _WORD
        if not fingerprint & (strict if position < average else loose):
            return position
    return len(window)
