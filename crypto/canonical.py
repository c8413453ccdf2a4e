"""The one encoding of everything that is signed or sent: MessagePack arrays in their shortest form.

A message is accepted only if decoding and encoding it again gives the same bytes, so that two different byte strings
can never mean the same thing, and a signature covers exactly one meaning.
"""

import base64
import binascii
from typing import TypeVar

import msgspec

from crypto.errors import Malformed

MAX_MESSAGE = 1 << 20
"""No signed or sealed message is larger, in bytes. Repository objects and parcels have limits of their own."""

T = TypeVar("T")

_encoder = msgspec.msgpack.Encoder()


def encode(value: msgspec.Struct) -> bytes:
    """The canonical bytes of a struct."""
    return _encoder.encode(value)


def decode(kind: type[T], data: bytes | memoryview, *, limit: int = MAX_MESSAGE) -> T:
    """Decode `data` as exactly one canonical value of type `kind`.

    Raises:
        Malformed: too long, not MessagePack, of another type, or not in canonical form.
    """
    if len(data) > limit:
        raise Malformed(f"a message of {len(data)} bytes is over the limit of {limit}")
    try:
        value = msgspec.msgpack.decode(data, type=kind, strict=True)
        again = _encoder.encode(value)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError, ValueError) as error:
        raise Malformed(f"not a {kind.__name__}: {type(error).__name__}") from error
    if again != data:
        raise Malformed(f"not the canonical form of a {kind.__name__}")
    return value


def to_text(data: bytes) -> str:
    """Bytes as a task argument: base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def from_text(text: object, *, limit: int = MAX_MESSAGE) -> bytes:
    """Read a task argument, accepting only what `to_text` writes.

    Raises:
        Malformed: not text, too long, or not the one encoding of its bytes.
    """
    if not isinstance(text, str) or len(text) > limit * 4 // 3 + 4:
        raise Malformed("a task argument is not text or too long")
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("a task argument is not base64url") from error
    if len(data) > limit:
        raise Malformed(f"a task argument of {len(data)} bytes is over the limit of {limit}")
    if to_text(data) != text:
        raise Malformed("a task argument is not the canonical base64url of its bytes")
    return data
