"""Compression that knows when to stop, decompression that cannot explode."""

import random

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from repository.compression import PROBE, RAW, ZSTD, Compressor, Decompressor
from repository.errors import ObjectDamaged

TEXT = b"the quick brown fox jumps over the lazy dog\n" * 20_000
NOISE = random.Random(1).randbytes(len(TEXT))


def test_text_is_compressed_and_comes_back() -> None:
    codec, payload = Compressor().compress(memoryview(TEXT))
    assert codec == ZSTD
    assert len(payload) < len(TEXT) / 10
    assert Decompressor().decompress(codec, payload, len(TEXT)) == TEXT


def test_noise_is_kept_without_a_copy() -> None:
    view = memoryview(NOISE)
    codec, payload = Compressor().compress(view)
    assert codec == RAW
    assert payload is view


def test_a_noisy_beginning_does_not_hide_the_text_behind_it() -> None:
    codec, payload = Compressor().compress(memoryview(NOISE[: 2 * PROBE] + TEXT))
    assert codec == ZSTD
    assert len(payload) < len(TEXT) / 3


@given(st.binary(max_size=5000))
def test_anything_comes_back(data: bytes) -> None:
    codec, payload = Compressor().compress(memoryview(data))
    assert bytes(Decompressor().decompress(codec, payload, len(data))) == data


def test_a_bomb_is_refused_before_it_unfolds() -> None:
    bomb = zstandard.ZstdCompressor(level=1).compress(bytes(1 << 26))
    with pytest.raises(ObjectDamaged):
        Decompressor().decompress(ZSTD, bomb, 1000)
    unsized = zstandard.ZstdCompressor(level=1, write_content_size=False).compress(bytes(1 << 26))
    with pytest.raises(ObjectDamaged):
        Decompressor().decompress(ZSTD, unsized, 1000)


def test_what_is_not_exactly_one_frame_is_refused() -> None:
    frame = zstandard.ZstdCompressor(level=1).compress(TEXT)
    for payload in (frame[:-1], frame + b"x", frame + frame, b"", b"no frame at all"):
        with pytest.raises(ObjectDamaged):
            Decompressor().decompress(ZSTD, payload, len(TEXT))


def test_another_length_or_codec_is_refused() -> None:
    frame = zstandard.ZstdCompressor(level=1).compress(TEXT)
    for codec, payload, length in ((ZSTD, frame, len(TEXT) + 1), (RAW, TEXT, 5), (2, TEXT, len(TEXT))):
        with pytest.raises(ObjectDamaged):
            Decompressor().decompress(codec, payload, length)
