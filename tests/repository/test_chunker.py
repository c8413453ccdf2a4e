"""Chunk boundaries depend on bytes and seed, and on nothing else."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repository.chunker import DEFAULT_SIZES, Chunker, ChunkSizes

SMALL = ChunkSizes(1024, 4096, 16384)
DATA = random.Random(1).randbytes(300_000)


def test_chunks_cover_everything_within_the_bounds() -> None:
    at = 0
    for offset, length in Chunker(2, SMALL).cut(memoryview(DATA)):
        assert offset == at
        at += length
        assert length <= SMALL.largest
        assert length >= SMALL.smallest or at == len(DATA)
    assert at == len(DATA)


def test_another_seed_cuts_elsewhere() -> None:
    cuts = [
        list(Chunker(seed, SMALL).cut(memoryview(DATA))) for seed in (0x1234567890ABCDEF, 0x0FEDCBA987654321)
    ]
    assert cuts[0] != cuts[1]


@pytest.mark.parametrize("seed", [2, (1 << 63) - 1, 1 | 1 << 63, (1 << 64) - 1])
def test_every_seed_of_64_bits_works(seed: int) -> None:
    assert len(list(Chunker(seed, SMALL).cut(memoryview(DATA)))) > 10


def test_the_highest_bits_of_a_seed_do_not_matter() -> None:
    cuts = [list(Chunker(seed, SMALL).cut(memoryview(DATA))) for seed in (77, 77 | 1 << 63, 77 | 1 << 48)]
    assert cuts[0] == cuts[1] == cuts[2]


@pytest.mark.parametrize("seed", [0, 1 << 63])
def test_a_wiped_seed_is_refused(seed: int) -> None:
    with pytest.raises(ValueError, match="without a key"):
        Chunker(seed, SMALL)


def test_an_insertion_moves_few_boundaries() -> None:
    def pieces(data: bytes) -> set[bytes]:
        return {data[at : at + length] for at, length in Chunker(9, SMALL).cut(memoryview(data))}

    before, after = pieces(DATA), pieces(DATA[:1000] + b"inserted" + DATA[1000:])
    assert len(before - after) <= 3


@settings(max_examples=50, deadline=None)
@given(st.integers(0, len(DATA)))
def test_a_cut_before_the_end_of_the_buffer_is_final(length: int) -> None:
    chunker = Chunker(5, SMALL)
    whole = list(chunker.cut(memoryview(DATA)))
    part = list(chunker.cut(memoryview(DATA)[:length]))
    assert part[:-1] == whole[: max(0, len(part) - 1)]


def test_the_default_sizes_make_megabyte_chunks() -> None:
    data = random.Random(2).randbytes(16 << 20)
    chunks = list(Chunker(3).cut(memoryview(data)))
    assert 8 <= len(chunks) <= 32
    assert max(length for _, length in chunks) <= DEFAULT_SIZES.largest
