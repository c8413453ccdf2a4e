"""Cobblestone-256: one sealed message per chunk and per metadata object.

The format is the C2SP chunked-encryption format (c2sp.org/chunked-encryption) as `cryptography.cobblestone` builds
it: HKDF-SHA512 over a fresh 24-byte salt and the context, a 32-byte key commitment, AES-256-GCM in pieces of 16 KiB,
and a last piece that cannot be cut off unnoticed. Bytes before the final check are never handed out.
"""

from collections.abc import Sequence

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag

from crypto.errors import SealBroken
from crypto.secret import SecretKey

Buffer = bytes | bytearray | memoryview

PIECE = 16 * 1024
TAG = 16
PREFIX = 24 + 32
"""Salt and key commitment, in bytes."""


def sealed_length(plain: int) -> int:
    """Bytes of the sealed form of `plain` bytes: prefix, and a tag for each piece, the last one always short."""
    return PREFIX + plain + TAG * (plain // PIECE + 1)


def seal_into(key: SecretKey, context: bytes, parts: Buffer | Sequence[Buffer], out: memoryview) -> int:
    """Seal `parts`, in order, as one message into `out`.

    Args:
        key: the DEK or temporary key.
        context: the canonical header; the message opens under no other.
        parts: one buffer or several.
        out: at least `sealed_length(total)` bytes, not overlapping `parts`.

    Returns:
        How many bytes were written: exactly `sealed_length(total)`.

    Raises:
        KeyWiped: the key's time was over before the message was whole; `out` holds nothing of use.
    """
    encryptor = Cobblestone256Encryptor(key.view(), context)
    written = 0
    for part in (parts,) if isinstance(parts, bytes | bytearray | memoryview) else parts:
        written += encryptor.update_into(part, out[written:])
    tail = encryptor.finalize()
    key.require_intact()
    out[written : written + len(tail)] = tail
    return written + len(tail)


def seal(key: SecretKey, context: bytes, parts: Buffer | Sequence[Buffer]) -> bytes:
    """Seal one message and return it; for metadata, not for the hot path.

    Raises:
        KeyWiped: the key's time was over before the message was whole.
    """
    pieces = (parts,) if isinstance(parts, bytes | bytearray | memoryview) else parts
    encryptor = Cobblestone256Encryptor(key.view(), context)
    sealed = b"".join([*map(encryptor.update, pieces), encryptor.finalize()])
    key.require_intact()
    return sealed


def open_into(key: SecretKey, context: bytes, sealed: Buffer, out: memoryview) -> int:
    """Open one whole message into `out`, which is wiped again if anything is wrong with it.

    Args:
        out: at least `len(sealed)` bytes.

    Returns:
        How many plain bytes `out` now begins with.

    Raises:
        SealBroken: altered, cut short, or sealed under another key or context.
        KeyWiped: the key's time was over; says nothing about the message.
    """
    decryptor = Cobblestone256Decryptor(key.view(), context)
    written = 0
    try:
        written = decryptor.update_into(sealed, out)
        tail = decryptor.finalize()
    except (InvalidTag, ValueError) as error:
        out[: len(sealed)] = bytes(min(len(sealed), len(out)))
        key.require_intact()  # a key wiped meanwhile is no proof of damage
        raise SealBroken("a sealed object does not open: altered, cut short, or not what it says") from error
    out[written : written + len(tail)] = tail
    return written + len(tail)


def open_sealed(key: SecretKey, context: bytes, sealed: Buffer) -> bytes:
    """Open one whole message and return its bytes.

    Raises:
        SealBroken: altered, cut short, or sealed under another key or context.
        KeyWiped: the key's time was over; says nothing about the message.
    """
    decryptor = Cobblestone256Decryptor(key.view(), context)
    try:
        return b"".join((decryptor.update(sealed), decryptor.finalize()))
    except (InvalidTag, ValueError) as error:
        key.require_intact()
        raise SealBroken("a sealed object does not open: altered, cut short, or not what it says") from error
