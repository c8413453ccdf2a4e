"""Chunk boundaries agree with two other implementations.

source: data/fastcdc.json, computed with the Rust crate fastcdc 5.0.0.
source: fastcdc_reference.py, written from the paper.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from pyfastcdc import FastCDC

from crypto.chunkid import ChunkIds
from crypto.secret import SecretKey
from repository.chunker import DEFAULT_SIZES, NORMALIZATION, Chunker, ChunkSizes
from tests.vectors.fastcdc_reference import GEAR, cut

Case = dict[str, Any]
CASES: list[Case] = json.loads((Path(__file__).parent / "data/fastcdc.json").read_bytes())["cases"]
SEEDED = [case for case in CASES if case["seed"] and case["level"] == NORMALIZATION]


def name(case: Case) -> str:
    return f"{case['data']}-{case['size']}-{case['avg']}-{case['level']}-{case['seed']:x}"


def data_of(case: Case) -> bytes:
    if case["data"] == "zeros":
        return bytes(case["size"])
    return blake3(b"strongroom fastcdc vectors").digest(length=case["size"])


def cut_by_chunker(data: bytes, seed: int, sizes: ChunkSizes) -> list[int]:
    return [length for _offset, length in Chunker(seed, sizes).cut(memoryview(data))]


def lengths(case: Case, data: bytes) -> list[int]:
    return cut_by_chunker(data, case["seed"], ChunkSizes(case["min"], case["avg"], case["max"]))


@pytest.mark.parametrize("case", [case for case in CASES if case["seed"] < 1 << 63], ids=name)
def test_pyfastcdc_cuts_where_the_rust_crate_cuts(case: Case) -> None:
    chunker = FastCDC(
        case["avg"],
        min_size=case["min"],
        max_size=case["max"],
        normalized_chunking=case["level"],
        seed=case["seed"],
    )
    assert [chunk.length for chunk in chunker.cut_buf(data_of(case))] == case["lengths"]


@pytest.mark.parametrize("case", SEEDED, ids=name)
def test_the_chunker_cuts_where_the_rust_crate_cuts(case: Case) -> None:
    assert lengths(case, data_of(case)) == case["lengths"]


@pytest.mark.parametrize("case", [case for case in CASES if case["size"] <= 1 << 20], ids=name)
def test_the_reference_cuts_where_the_rust_crate_cuts(case: Case) -> None:
    found = cut(data_of(case), case["min"], case["avg"], case["max"], case["level"], case["seed"])
    assert list(found) == case["lengths"]


def test_the_chunker_cuts_where_the_reference_cuts_at_the_sizes_in_use() -> None:
    data = blake3(b"another stream").digest(length=3 << 20)
    seed = 0x5DEECE66D1234567
    ours = cut_by_chunker(data, seed, DEFAULT_SIZES)
    assert ours == list(cut(data, *DEFAULT_SIZES, NORMALIZATION, seed))
    assert len(ours) > 1


def test_the_gear_table_is_the_published_one() -> None:
    # source: the first two entries of the table in fastcdc-rs, src/v2020/mod.rs.
    assert (GEAR[0], GEAR[1]) == (0x3B5D3C7D207E37DC, 0x784D68BA91123086)


def test_control_a_changed_byte_or_seed_bit_moves_a_boundary() -> None:
    case = next(case for case in SEEDED if case["avg"] == 16 << 10)
    data = bytearray(data_of(case))
    data[case["lengths"][0]] ^= 1
    assert lengths(case, bytes(data)) != case["lengths"]
    assert lengths(case | {"seed": case["seed"] ^ 1 << 17}, data_of(case)) != case["lengths"]


def test_every_vault_key_gives_a_seed_that_the_chunker_takes() -> None:
    for _ in range(64):  # pyfastcdc 0.3.1 itself refuses one seed in two of 64 bits
        Chunker(ChunkIds(SecretKey(os.urandom(32))).seed)
