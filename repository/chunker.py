"""Content-defined chunk boundaries: FastCDC 2020 with a gear table seeded per vault.

docs/format.md, "Chunks".

Boundaries depend on the bytes and the vault's seed only, not on how the bytes arrive: a cut before the end of
a buffer is final, the piece that reaches the end is not.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from pyfastcdc import FastCDC

KIB = 1024
NORMALIZATION: Final = 2
"""Normalized chunking level, section 3.5 of the FastCDC paper (ieeexplore.ieee.org/document/9055082)."""

_SEED_BITS = (1 << 63) - 1
"""pyfastcdc doubles the seed and overflows on the highest of 64 bits, which has no influence on a boundary.
"""


class ChunkSizes(NamedTuple):
    """Bounds of a chunk in bytes; fixed for the life of a vault."""

    smallest: int
    average: int
    largest: int


DEFAULT_SIZES = ChunkSizes(256 * KIB, 1024 * KIB, 4096 * KIB)
MAX_CHUNK = 4096 * KIB
"""No reader takes a longer chunk, whatever the vault's sizes say."""


class Chunker:
    """Cuts buffers into chunks.

    Args:
        seed: 64 bits from the vault's chunk-id key (`crypto.chunkid.ChunkIds.seed`); those above
            the highest bit of the masks (bit 47) have no influence on the boundaries.
        sizes: the vault's chunk sizes.

    Raises:
        ValueError: the seed is 0, which a wiped key leaves and which would mean unkeyed boundaries.
    """

    def __init__(self, seed: int, sizes: ChunkSizes = DEFAULT_SIZES) -> None:
        if not seed & _SEED_BITS:
            raise ValueError("chunk boundaries without a key")
        self.sizes = sizes
        self._cdc = FastCDC(
            sizes.average,
            min_size=sizes.smallest,
            max_size=sizes.largest,
            normalized_chunking=NORMALIZATION,
            seed=seed & _SEED_BITS,
        )

    def cut(self, data: memoryview) -> Iterator[tuple[int, int]]:
        """(offset, length) of each chunk of `data`, without gaps; the last one may still be open."""
        for chunk in self._cdc.cut_buf(data):
            yield chunk.offset, chunk.length
