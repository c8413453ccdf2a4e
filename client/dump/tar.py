"""A tar archive in the POSIX format (pax), written as it comes: times in nanoseconds, attributes, any name.

Names and attributes go in as the bytes that they are, which GNU tar, bsdtar and Python read; Python's own writer would
announce such bytes in a way (`hdrcharset`) that GNU tar complains about.
"""

import os
import tarfile
from typing import BinaryIO, Final

from client.dump.sink import member_name
from client.errors import EntryDamaged
from crypto.parcel import Piece
from sources.filesystem.metadata import Meta

_TYPES: Final = {
    "f": tarfile.REGTYPE,
    "d": tarfile.DIRTYPE,
    "l": tarfile.SYMTYPE,
    "p": tarfile.FIFOTYPE,
    "c": tarfile.CHRTYPE,
    "b": tarfile.BLKTYPE,
}
_BLOCK: Final = tarfile.BLOCKSIZE
_MAX_NAME: Final = 100
_MAX_ID: Final = 8**7 - 1
_MAX_SIZE: Final = 8**11 - 1
_NS: Final = 1_000_000_000
_MODE: Final = 0o7777

_LinkKey = tuple[int, int, int, bytes]


class _Original:
    """The first name of a file that has several, and the digests of its parts."""

    def __init__(self, path: bytes) -> None:
        self.path = path
        self.parts: dict[int, bytes] = {}


class TarSink:
    """Writes a tar archive to `out`, with names relative to `strip`. Names of one file after the first are links."""

    def __init__(self, out: BinaryIO, strip: bytes) -> None:
        self._out, self._strip = out, strip
        self._originals: dict[_LinkKey, _Original] = {}
        self._original: _Original | None = None
        self._inside = self._is_link = False
        self._written = 0

    def begin(self, piece: Piece, meta: Meta) -> None:
        """See Sink."""
        link = self._linked(piece, meta)
        self._member(piece, meta, link)
        self._is_link, self._inside, self._written = bool(link), not link, 0

    def write(self, data: memoryview) -> None:
        """See Sink."""
        if not self._is_link:
            self._out.write(data)
            self._written += len(data)

    def verified(self, piece: Piece) -> None:
        """See Sink.

        Raises:
            EntryDamaged: it is a link to a file of which this part is another one.
        """
        original = self._original
        if original is None:
            return
        if not self._is_link:
            original.parts[piece.part_offset] = piece.digest
        elif original.parts.get(piece.part_offset) != piece.digest:
            raise EntryDamaged("it was changed between the backup of its several names, which are one now")

    def end(self) -> None:
        """See Sink."""
        self._out.write(bytes(-self._written % _BLOCK))
        self._inside, self._written, self._original = False, 0, None

    def other(self, piece: Piece, meta: Meta) -> None:
        """See Sink."""
        self._member(piece, meta, b"" if piece.kind == "d" else self._linked(piece, meta))
        self._original = None

    def close(self) -> None:
        """See Sink."""
        self._out.write(bytes(2 * _BLOCK))

    def spoil(self) -> None:
        """See Sink. In the middle of a file the end is missed anyway, and what came now would count as content."""
        if not self._inside:
            self._out.write(b"this archive is not complete\n".ljust(_BLOCK))

    def _linked(self, piece: Piece, meta: Meta) -> bytes:
        """The archive's name of the same thing, if it came before under another; remembers it otherwise."""
        self._original = None
        if meta.nlink < 2:
            return b""
        key = (meta.dev, meta.ino, piece.size, piece.digest)
        self._original = self._originals.setdefault(key, _Original(piece.path))
        path = self._original.path
        return b"" if path == piece.path else member_name(path, self._strip)

    def _member(self, piece: Piece, meta: Meta, link: bytes) -> None:
        name = member_name(piece.path, self._strip)
        if piece.kind == "d":
            name += b"/"
        pax = {b"mtime": _seconds(meta.mtime_ns)}
        info = tarfile.TarInfo()
        info.name = _field(pax, b"path", name)
        info.type = tarfile.LNKTYPE if link else _TYPES[piece.kind]
        info.linkname = _field(pax, b"linkpath", link or meta.target)
        info.mode = meta.mode & _MODE
        info.uid = _number(pax, b"uid", meta.uid, _MAX_ID)
        info.gid = _number(pax, b"gid", meta.gid, _MAX_ID)
        info.uname, info.gname = _short(pax, b"uname", meta.uname), _short(pax, b"gname", meta.gname)
        info.size = _number(pax, b"size", piece.size if piece.kind == "f" and not link else 0, _MAX_SIZE)
        info.mtime = max(0, min(meta.mtime_ns // _NS, _MAX_SIZE))
        info.devmajor, info.devminor = _device(meta.rdev)
        for attribute, value in meta.xattrs:
            keyword = attribute.replace(b"%", b"%25").replace(b"=", b"%3D")
            pax[b"SCHILY.xattr." + keyword] = value
        records = b"".join(_record(keyword, value) for keyword, value in pax.items())
        extended = tarfile.TarInfo("././@PaxHeader")
        extended.type, extended.size = tarfile.XHDTYPE, len(records)
        self._out.write(_header(extended) + records.ljust(-(-len(records) // _BLOCK) * _BLOCK, b"\0"))
        self._out.write(_header(info))


def _device(number: int) -> tuple[int, int]:
    """Major and minor number of a device; 0 when tar's old fields are too narrow, which no real device needs."""
    major, minor = os.major(number), os.minor(number)
    return (major if major <= _MAX_ID else 0), (minor if minor <= _MAX_ID else 0)


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


def _record(keyword: bytes, value: bytes) -> bytes:
    """One pax record; its length counts its own digits."""
    rest = b" %b=%b\n" % (keyword, value)
    length = len(rest) + len(str(len(rest)))
    if len(str(length)) + len(rest) != length:
        length += 1
    return b"%d%b" % (length, rest)


def _seconds(ns: int) -> bytes:
    """Nanoseconds as decimal seconds, exactly."""
    whole, fraction = divmod(abs(ns), _NS)
    return b"%b%d.%09d" % (b"-" if ns < 0 else b"", whole, fraction)


def _field(pax: dict[bytes, bytes], keyword: bytes, value: bytes) -> str:
    """What fits into the old field of a header; a record says what does not."""
    if len(value) <= _MAX_NAME and value.isascii():
        return value.decode("ascii")
    pax[keyword] = value
    return value[:_MAX_NAME].decode("ascii", "replace").replace("\N{REPLACEMENT CHARACTER}", "_")


def _short(pax: dict[bytes, bytes], keyword: bytes, value: str) -> str:
    if len(value) < 32 and value.isascii():
        return value
    pax[keyword] = value.encode()
    return ""


def _number(pax: dict[bytes, bytes], keyword: bytes, value: int, most: int) -> int:
    if value <= most:
        return value
    pax[keyword] = b"%d" % value
    return 0
