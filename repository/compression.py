"""zstd level 1 for chunks, or nothing when it would not help; and decompression with a bound."""

import zstandard

from repository.errors import ObjectDamaged

RAW = 0
ZSTD = 1
CODECS = (RAW, ZSTD)

LEVEL = 1
PROBE = 16 << 10
_PROBED_FROM = 4 * PROBE
"""Smaller chunks are not probed: compressing them costs no more than the probes."""
_WORTHWHILE = 0.97
"""Compressed chunks that save less than 3 % are stored raw, which restores faster."""

Buffer = bytes | bytearray | memoryview


class Compressor:
    """Reused zstd state for one process; not for several threads at once."""

    def __init__(self) -> None:
        self._zstd = zstandard.ZstdCompressor(level=LEVEL, write_checksum=False, write_content_size=True)

    def compress(self, data: memoryview) -> tuple[int, Buffer]:
        """The codec chosen and the payload; a raw payload is `data` itself, not a copy."""
        if len(data) >= _PROBED_FROM and not self._promising(data):
            return RAW, data
        packed = self._zstd.compress(data)
        if len(packed) > len(data) * _WORTHWHILE:
            return RAW, data
        return ZSTD, packed

    def _promising(self, data: memoryview) -> bool:
        # Two places, because a chunk of small files may begin with an image and go on with text.
        middle = len(data) // 2
        return any(
            len(self._zstd.compress(data[at : at + PROBE])) <= PROBE * _WORTHWHILE for at in (0, middle)
        )


class Decompressor:
    """Reused zstd state for one process; not for several threads at once."""

    def __init__(self) -> None:
        self._zstd = zstandard.ZstdDecompressor()

    def decompress(self, codec: int, payload: Buffer, raw_len: int) -> Buffer:
        """The `raw_len` plain bytes of a payload; `payload` itself when it is raw.

        Args:
            codec: RAW or ZSTD, from a sealed table.
            payload: one whole zstd frame that states its content size, or raw bytes.
            raw_len: bytes expected; the caller has held it against a named limit.

        Raises:
            ObjectDamaged: another codec or length, no valid frame, or bytes after it.
        """
        if codec == RAW:
            if len(payload) != raw_len:
                raise ObjectDamaged(f"raw data has {len(payload)} bytes, not {raw_len}")
            return payload
        if codec != ZSTD:
            raise ObjectDamaged(f"codec {codec} is not known here")
        try:
            # The size in the frame is held against ours before a byte is allocated.
            if zstandard.frame_content_size(payload) != raw_len:
                raise ObjectDamaged("compressed data does not have the size that its table states")
            data = self._zstd.decompress(payload, max_output_size=raw_len, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise ObjectDamaged("compressed data is damaged") from error
        if len(data) != raw_len:
            raise ObjectDamaged("compressed data does not have the size that its table states")
        return data
