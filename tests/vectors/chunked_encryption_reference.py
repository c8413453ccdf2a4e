"""C2SP chunked encryption, written here from the specification (c2sp.org/chunked-encryption), for reading only.

It shares no code with `cryptography.cobblestone`, and shows what a stranger needs to open a sealed object.
"""

import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

PIECE, TAG, SALT, COMMITMENT, NONCE = 16 * 1024, 16, 24, 32, 12


def open_message(key: bytes, context: bytes, sealed: bytes, algorithm: SHA256 | SHA512) -> bytes:
    """The plain bytes of one AES-256-GCM message.

    Raises:
        InvalidTag: wrong key or context, altered, or cut short.
    """
    salt, commitment = sealed[:SALT], sealed[SALT : SALT + COMMITMENT]
    info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0" + salt + context
    derived = HKDFExpand(algorithm, 32 + NONCE + COMMITMENT, info).derive(key)
    if len(key) != 32 or not hmac.compare_digest(derived[32 + NONCE :], commitment):
        raise InvalidTag
    base = int.from_bytes(derived[32 : 32 + NONCE], "big")
    body, plain = sealed[SALT + COMMITMENT :], []
    for number in range(len(body) // (PIECE + TAG) + 1):  # the last piece is always a short one
        piece = body[number * (PIECE + TAG) : (number + 1) * (PIECE + TAG)]
        plain.append(AESGCM(derived[:32]).decrypt((base ^ number).to_bytes(NONCE, "big"), piece, None))
    return b"".join(plain)
