"""Metadata of an object: what is stored beside its content, and how it looks on a file system.

Stored as a msgpack array that begins with the word `s3/1`, which the metadata of a file never does. Access control
lists are not kept: buckets made since 2023 have none.
"""

import os
import stat
from typing import Annotated, Final

import msgspec

from sources.filesystem import metadata as files
from sources.source import MetaDamaged

XATTR: Final = b"user.strongroom.s3"
"""On a file that was an object: its metadata as JSON."""
MAX_META_LENGTH: Final = 1 << 20
_MARK: Final = "s3/1"
_FIELDS: Final = 14

_Text = Annotated[str, msgspec.Meta(max_length=64 * 1024)]
_Pairs = Annotated[list[tuple[_Text, _Text]], msgspec.Meta(max_length=4096)]


class ObjectMeta(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=_MARK):
    """One object's metadata, in S3's own words; "" for what it does not have.

    `modified_ms`: LastModified, since 1970. `expires`: the header's text. `metadata`: the user's, without
    `x-amz-meta-`, by name; `tags`: by key.
    """

    key: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
    version: _Text
    etag: _Text
    modified_ms: Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
    storage_class: _Text
    content_type: _Text
    content_encoding: _Text
    content_disposition: _Text
    content_language: _Text
    cache_control: _Text
    expires: _Text
    redirect: _Text
    metadata: _Pairs
    tags: _Pairs


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ObjectMeta)
_BEGINS: Final = bytes([0x90 | (_FIELDS + 1), 0xA0 | len(_MARK)]) + _MARK.encode()


def encode(meta: ObjectMeta) -> bytes:
    """The stored form."""
    return _encoder.encode(meta)


def is_object(data: bytes) -> bool:
    """Whether stored metadata is that of an object rather than of a file."""
    return data.startswith(_BEGINS)


def decode(data: bytes, path: bytes = b"") -> ObjectMeta:
    """The metadata stored for `path`, which is only named in errors.

    Raises:
        MetaDamaged: overlong, not ours, or a value out of range.
    """
    if len(data) > MAX_META_LENGTH:
        raise MetaDamaged(path, f"stored metadata is longer than {MAX_META_LENGTH} bytes")
    try:
        return _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise MetaDamaged(
            path, "stored metadata cannot be decoded", remedy="run check on the vault"
        ) from error


def as_file(meta: ObjectMeta) -> files.Meta:
    """An object as a file of whoever restores it: its time, owner-only, and everything else in one attribute."""
    return files.Meta(
        "f",
        stat.S_IFREG | 0o600,
        os.geteuid(),
        os.getegid(),
        "",
        "",
        meta.modified_ms * 1_000_000,
        0,
        0,
        1,
        0,
        b"",
        [(XATTR, msgspec.json.encode(facts(meta)))],
    )


def facts(meta: ObjectMeta) -> dict[str, object]:
    """What there is to say of an object, by name."""
    told = {name: value for name, value in msgspec.structs.asdict(meta).items() if value}
    return told | {name: dict(told[name]) for name in ("metadata", "tags") if name in told}
