"""Sealed objects open as the C2SP chunked-encryption format says, through the functions that Strongroom uses.

source: data/c2sp_chunked_encryption_aes_256_gcm_test.json, the official Cobblestone-256 vectors of C2SP/wycheproof.
source: chunked-encryption/vectors.json in cryptography-vectors; the format's older vectors, with SHA-256 in place of
SHA-512, so that only the reference can open them: they check the reference.
"""

import base64
import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import cryptography_vectors
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hashes import SHA256, SHA512

from crypto.errors import CryptoError
from crypto.sealing import PIECE, open_into, open_sealed, seal, seal_into, sealed_length
from crypto.secret import SecretKey
from tests.vectors.chunked_encryption_reference import open_message

Vector = dict[str, Any]
DATA = Path(__file__).parent / "data/c2sp_chunked_encryption_aes_256_gcm_test.json"
(GROUP,) = json.loads(DATA.read_bytes())["testGroups"]
VALID: list[Vector] = [vector for vector in GROUP["tests"] if vector["result"] == "valid"]
INVALID: list[Vector] = [vector for vector in GROUP["tests"] if vector["result"] == "invalid"]

with cryptography_vectors.open_vector_file("chunked-encryption/vectors.json", "r") as file:
    OLDER: list[Vector] = [v for v in json.load(file)["vectors"] if v["aead"] == "AEAD_AES_256_GCM"]


def label(vector: Vector) -> str:
    return f"tc{vector['tcId']}"


def message(vector: Vector) -> tuple[bytes, bytes, bytes]:
    """Key, context and sealed bytes of a vector, whose message is compressed to keep the file small."""
    return (
        bytes.fromhex(vector["key"]),
        bytes.fromhex(vector["ctx"]),
        zlib.decompress(bytes.fromhex(vector["ct"])),
    )


def test_all_vectors_are_there() -> None:
    assert (GROUP["aead"], GROUP["sha"]) == ("AEAD_AES_256_GCM", "SHA-512")
    assert (len(VALID), len(INVALID)) == (10, 25)


@pytest.mark.parametrize("vector", VALID, ids=label)
def test_opens(vector: Vector) -> None:
    key, context, sealed = message(vector)
    plain = open_sealed(SecretKey(key), context, sealed)
    assert len(plain) == vector["msgLength"]
    assert hashlib.sha512(plain).hexdigest() == vector["msgSha512"]
    assert sealed_length(len(plain)) == len(sealed)
    out = bytearray(len(sealed))
    length = open_into(SecretKey(key), context, sealed, memoryview(out))
    assert out[:length] == plain
    assert open_message(key, context, sealed, SHA512()) == plain


@pytest.mark.parametrize("vector", INVALID, ids=label)
def test_refused_without_leaving_a_byte(vector: Vector) -> None:
    key, context, sealed = message(vector)
    out = bytearray(len(sealed))
    with pytest.raises(CryptoError):
        open_sealed(SecretKey(key), context, sealed)
    with pytest.raises(CryptoError):
        open_into(SecretKey(key), context, sealed, memoryview(out))
    assert not any(out)


@pytest.mark.parametrize("vector", VALID, ids=label)
def test_control_one_flipped_bit_is_refused(vector: Vector) -> None:
    key, context, sealed = message(vector)
    for position in {0, 24, 56, len(sealed) // 2, len(sealed) - 1}:
        flipped = bytearray(sealed)
        flipped[position] ^= 1
        with pytest.raises(CryptoError):
            open_sealed(SecretKey(key), context, flipped)
    with pytest.raises(CryptoError):
        open_sealed(SecretKey(key), context + b"\0", sealed)


@pytest.mark.parametrize("length", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 5])
def test_the_reference_opens_what_we_seal(length: int) -> None:
    secret, context, plain = (
        SecretKey.generate(),
        b"a canonical header",
        bytes(range(256)) * (length // 256 + 1),
    )
    plain = plain[:length]
    key = bytes(secret.view())
    assert open_message(key, context, seal(secret, context, plain), SHA512()) == plain
    out = bytearray(sealed_length(length))
    seal_into(secret, context, (plain[:10], plain[10:]), memoryview(out))
    assert open_message(key, context, bytes(out), SHA512()) == plain


@pytest.mark.parametrize("vector", OLDER, ids=lambda vector: str(vector["name"]))
def test_the_reference_decides_the_older_vectors(vector: Vector) -> None:
    raw = base64.b64decode(vector["ciphertext"] or "")
    sealed = zlib.decompress(raw) if vector.get("compressed") else raw
    key, context = bytes.fromhex(vector["key"]), vector["context"].encode()
    if vector["expect"] == "failure":
        with pytest.raises(InvalidTag):
            open_message(key, context, sealed, SHA256())
    else:
        plain = open_message(key, context, sealed, SHA256())
        assert hashlib.sha256(plain).hexdigest() == vector["payload_sha256"]
