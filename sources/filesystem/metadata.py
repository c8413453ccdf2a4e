"""Metadata of one thing: what is stored beside its content and applied to it again by a restore.

Stored as a msgpack array in the order of the fields of `Meta`; ACLs and capabilities are xattrs, as the
kernel has it.
"""

import errno
import grp
import os
import pwd
from functools import lru_cache
from typing import Annotated, Final

import msgspec

from sources.source import Kind, MetaDamaged, reason

MAX_META_LENGTH: Final = 16 << 20
MAX_XATTR_BYTES: Final = 8 << 20
"""Of all names and values of one thing; the kernel allows 64 KiB a value and 64 KiB of names."""

_DEVICES: Final = ("c", "b")
_MAX_TIME: Final = (1 << 63) - 1
_U32 = Annotated[int, msgspec.Meta(ge=0, le=(1 << 32) - 1)]
_U64 = Annotated[int, msgspec.Meta(ge=0)]  # msgpack itself ends at 64 bits
_TimeNs = Annotated[int, msgspec.Meta(ge=-_MAX_TIME, le=_MAX_TIME)]
_Owner = Annotated[str, msgspec.Meta(max_length=256)]

Xattrs = list[tuple[bytes, bytes]]


class Meta(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One thing's metadata. `mode`: st_mode with type bits; `mtime_ns`: since the epoch; `target`: a link's.

    `uname` and `gname` are "" when the system had no name (or no UTF-8 name) for the id. `dev`, `ino` and
    `nlink` tell hard links: things of one snapshot with nlink > 1 and equal (dev, ino) are one. `xattrs`:
    (name, value) by name.
    """

    kind: Kind
    mode: _U32
    uid: _U32
    gid: _U32
    uname: _Owner
    gname: _Owner
    mtime_ns: _TimeNs
    dev: _U64
    ino: _U64
    nlink: _U64
    rdev: _U64
    target: bytes
    xattrs: Xattrs


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Meta)


def encode(meta: Meta) -> bytes:
    """The stored form."""
    return _encoder.encode(meta)


def decode(data: bytes, path: bytes = b"") -> Meta:
    """The metadata stored for `path`, which is only named in errors.

    Raises:
        MetaDamaged: overlong, not ours, a value out of range, a NUL where the kernel takes none.
    """
    if len(data) > MAX_META_LENGTH:
        raise MetaDamaged(path, f"stored metadata is longer than {MAX_META_LENGTH} bytes")
    try:
        meta = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise MetaDamaged(
            path, "stored metadata cannot be decoded", remedy="run check on the vault"
        ) from error
    if b"\0" in meta.target or (meta.xattrs and any(not name or b"\0" in name for name, _ in meta.xattrs)):
        raise MetaDamaged(path, "stored metadata names something with a NUL or an empty name")
    return meta


def meta_of(kind: Kind, st: os.stat_result, target: bytes, xattrs: Xattrs) -> Meta:
    """Metadata from one lstat or fstat and what was read beside it."""
    uid, gid, mtime_ns = st.st_uid, st.st_gid, st.st_mtime_ns
    if not -_MAX_TIME <= mtime_ns <= _MAX_TIME:
        mtime_ns = _MAX_TIME if mtime_ns > 0 else -_MAX_TIME
    rdev = st.st_rdev if kind in _DEVICES else 0
    user, group = user_name(uid), group_name(gid)
    # By position: this runs once for every file.
    return Meta(
        kind, st.st_mode, uid, gid, user, group, mtime_ns, st.st_dev, st.st_ino, st.st_nlink, rdev, target, xattrs
    )  # fmt: skip


@lru_cache(maxsize=4096)
def user_name(uid: int) -> str:
    """The user's name, asked once per id and process; "" when there is none."""
    try:
        return _utf8(pwd.getpwuid(uid).pw_name)
    except (KeyError, OSError):
        return ""


@lru_cache(maxsize=4096)
def group_name(gid: int) -> str:
    """The group's name, asked once per id and process; "" when there is none."""
    try:
        return _utf8(grp.getgrgid(gid).gr_name)
    except (KeyError, OSError):
        return ""


def _utf8(name: str) -> str:
    """Names that are not UTF-8 cannot be stored as text; the number still is."""
    return name if len(name) <= 256 and name.isprintable() else ""


def read_xattrs(place: int | bytes) -> tuple[Xattrs, tuple[str, ...]]:
    """All extended attributes of an open file, or of an unfollowed path, by name; and what went wrong.

    Errors are told, never raised: a file whose attributes cannot be read is still backed up.
    """
    follow = isinstance(place, int)
    try:
        names = os.listxattr(place, follow_symlinks=follow)
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.ENOSYS):
            return [], ()
        return [], (f"extended attributes cannot be listed: {reason(error)}",)
    if not names:
        return [], ()
    found: Xattrs = []
    warnings: list[str] = []
    room = MAX_XATTR_BYTES
    for name in sorted(os.fsencode(name) for name in names):
        try:
            value = os.getxattr(place, name, follow_symlinks=follow)
        except OSError as error:
            if error.errno != errno.ENODATA:  # removed since it was listed
                warnings.append(f"extended attribute {os.fsdecode(name)!a} cannot be read: {reason(error)}")
            continue
        room -= len(name) + len(value)
        if room < 0:
            warnings.append(f"extended attributes beyond {MAX_XATTR_BYTES} bytes are left out")
            break
        found.append((name, value))
    return found, tuple(warnings)
