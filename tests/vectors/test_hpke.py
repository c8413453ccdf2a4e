"""HPKE base mode: the RFC's X25519 suites, and the hybrid KEM in the two suites published with it.

source: RFC 9180 appendix A.1.1 and A.2.1, sequence number 0, transcribed below.
source: HPKE/test-vectors.json in cryptography-vectors, the RFC's machine-readable set.
source: HPKE/hpke-pq-test-vectors.json in cryptography-vectors, test-vectors.json of draft-ietf-hpke-pq.

The vectors carry associated data, which only cryptography's own test entry `_decrypt_with_aad` takes.
"""

import hashlib
import json
from typing import Any

import cryptography_vectors
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.bindings import _rust
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from crypto.hpke import HpkeKey

X25519, MLKEM768_X25519 = 0x0020, 0x647A
KEMS = {X25519: hpke.KEM.X25519, MLKEM768_X25519: hpke.KEM.MLKEM768_X25519}
KDFS = {1: hpke.KDF.HKDF_SHA256, 3: hpke.KDF.HKDF_SHA512, 0x11: hpke.KDF.SHAKE256}
AEADS = {1: hpke.AEAD.AES_128_GCM, 2: hpke.AEAD.AES_256_GCM, 3: hpke.AEAD.CHACHA20_POLY1305}

COMMON: dict[str, Any] = {
    "kem_id": X25519,
    "kdf_id": 1,
    "info": "4f6465206f6e2061204772656369616e2055726e",
    "aad": "436f756e742d30",
    "pt": "4265617574792069732074727574682c20747275746820626561757479",
}
TRANSCRIBED: dict[str, dict[str, Any]] = {
    "A.1.1": COMMON
    | {
        "aead_id": 1,
        "skRm": "4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8",
        "enc": "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431",
        "ct": "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a",
    },
    "A.2.1": COMMON
    | {
        "aead_id": 3,
        "skRm": "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb",
        "enc": "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a",
        "ct": "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28",
    },
}


def published(name: str, kem: int) -> list[dict[str, Any]]:
    """Base-mode entries for a KEM, the first message of each, in the shape of the transcribed ones."""
    with cryptography_vectors.open_vector_file(f"HPKE/{name}", "r") as file:
        entries = json.load(file)
    return [
        entry | entry["encryptions"][0]
        for entry in entries
        if entry["mode"] == 0 and entry["kem_id"] == kem and entry["aead_id"] in AEADS
    ]


RFC = published("test-vectors.json", X25519)
HYBRID = published("hpke-pq-test-vectors.json", MLKEM768_X25519)


def label(entry: dict[str, Any]) -> str:
    return f"kem{entry['kem_id']:04x}-kdf{entry['kdf_id']}-aead{entry['aead_id']}"


def hybrid_parts(seed: str) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    """The two private keys in a 32-byte seed: SHAKE256, as draft-connolly-cfrg-xwing-kem 5.2 says."""
    expanded = hashlib.shake_256(bytes.fromhex(seed)).digest(96)
    return MLKEM768PrivateKey.from_seed_bytes(expanded[:64]), X25519PrivateKey.from_private_bytes(
        expanded[64:]
    )


def opened(entry: dict[str, Any], flip: str = "") -> bytes:
    """Open an entry's message, with the first bit of one field (enc, ct, aad or info) flipped if asked."""
    field = {name: bytearray.fromhex(entry[name]) for name in ("enc", "ct", "aad", "info")}
    if flip:
        field[flip][0] ^= 1
    suite = hpke.Suite(KEMS[entry["kem_id"]], KDFS[entry["kdf_id"]], AEADS[entry["aead_id"]])
    private: X25519PrivateKey | hpke.MLKEM768X25519PrivateKey
    if entry["kem_id"] == X25519:
        private = X25519PrivateKey.from_private_bytes(bytes.fromhex(entry["skRm"]))
    else:
        private = hpke.MLKEM768X25519PrivateKey(*hybrid_parts(entry["skRm"]))
    message = bytes(field["enc"] + field["ct"])
    plain = _rust.openssl.hpke._decrypt_with_aad(
        suite, message, private, bytes(field["info"]), bytes(field["aad"])
    )
    return bytes(plain)


def test_all_entries_are_there() -> None:
    assert sorted((entry["kdf_id"], entry["aead_id"]) for entry in RFC) == [
        (kdf, aead) for kdf in (1, 3) for aead in (1, 2, 3)
    ]
    assert sorted((entry["kdf_id"], entry["aead_id"]) for entry in HYBRID) == [(0x01, 3), (0x11, 3)]


@pytest.mark.parametrize("section", TRANSCRIBED)
def test_the_entries_printed_in_the_rfc(section: str) -> None:
    entry = TRANSCRIBED[section]
    assert opened(entry) == bytes.fromhex(entry["pt"])
    same = next(e for e in RFC if (e["kdf_id"], e["aead_id"]) == (1, entry["aead_id"]))
    assert {name: same[name] for name in entry} == entry


@pytest.mark.parametrize("entry", [*RFC, *HYBRID], ids=label)
def test_opens(entry: dict[str, Any]) -> None:
    assert opened(entry) == bytes.fromhex(entry["pt"])


@pytest.mark.parametrize("entry", HYBRID, ids=label)
def test_our_hybrid_public_key_is_laid_out_as_published(entry: dict[str, Any]) -> None:
    key = HpkeKey(*hybrid_parts(entry["skRm"]))
    assert key.public.hex() == entry["pkRm"]
    assert HpkeKey.from_seed(key.seed()).public == key.public


@pytest.mark.parametrize("flip", ["enc", "ct", "aad", "info"])
@pytest.mark.parametrize("entry", [*RFC, *HYBRID], ids=label)
def test_control_one_flipped_bit_is_refused(entry: dict[str, Any], flip: str) -> None:
    with pytest.raises(InvalidTag):
        opened(entry, flip)
