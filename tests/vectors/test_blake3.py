"""BLAKE3, plain, keyed and as key derivation: file digests, chunk ids, sub-keys.

source: data/blake3.json, the official test vectors.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "data/blake3.json").read_bytes())
KEY = VECTORS["key"].encode()
CONTEXT = "BLAKE3 2019-12-27 16:29:52 test vectors context"


def message(length: int) -> bytes:
    return (bytes(range(251)) * (length // 251 + 1))[:length]


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: str(case["input_len"]))
def test_official_vectors(case: dict[str, Any]) -> None:
    data = message(case["input_len"])
    for hasher, expected in (
        (blake3(data), case["hash"]),
        (blake3(data, key=KEY), case["keyed_hash"]),
        (blake3(data, derive_key_context=CONTEXT), case["derive_key"]),
    ):
        assert hasher.digest(length=len(expected) // 2).hex() == expected
        assert hasher.hexdigest() == expected[:64]


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: str(case["input_len"]))
def test_a_message_in_pieces_has_the_same_digest(case: dict[str, Any]) -> None:
    data = message(case["input_len"])
    hasher = blake3(key=KEY)
    for start in range(0, len(data), 1000):
        hasher.update(memoryview(data)[start : start + 1000])
    assert hasher.hexdigest() == case["keyed_hash"][:64]


def test_control_one_bit_changes_the_digest() -> None:
    case = VECTORS["cases"][-1]
    data = bytearray(message(case["input_len"]))
    data[-1] ^= 1
    assert blake3(data).hexdigest() != case["hash"][:64]
    other_key = bytes([KEY[0] ^ 1]) + KEY[1:]
    assert blake3(message(case["input_len"]), key=other_key).hexdigest() != case["keyed_hash"][:64]


def test_all_cases_are_there() -> None:
    assert len(VECTORS["cases"]) == 22
