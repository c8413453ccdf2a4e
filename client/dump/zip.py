"""A zip archive, written as it comes, for those who have no tar: compressed, with modes, owners and times in seconds.

The format's own limits: no devices and no FIFOs, no names that are not UTF-8, no attributes; every name of a file has
its content again. Its table of contents is at the end, and in memory until then.
"""

import struct
import time
import zipfile
from typing import IO, BinaryIO, Final

from client.dump.sink import member_name
from client.errors import NotDumpable
from crypto.parcel import Piece
from sources.filesystem.metadata import Meta

_LEVEL: Final = 1
_FIRST_DAY: Final = (1980, 1, 1, 0, 0, 0)
_LAST_YEAR: Final = 2107
_UNIX: Final = 3
_DIRECTORY: Final = 0x10
_I32: Final = 1 << 31


class ZipSink:
    """Writes a zip archive to `out`, with names relative to `strip`."""

    def __init__(self, out: BinaryIO, strip: bytes) -> None:
        # A stream even where it could go back: a file that is appended to can be asked to and does not.
        self._zip = zipfile.ZipFile(_Stream(out), "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL)
        self._strip = strip
        self._file: IO[bytes] | None = None

    def begin(self, piece: Piece, meta: Meta) -> None:
        """See Sink."""
        self._file = self._zip.open(self._member(piece, meta), "w")

    def write(self, data: memoryview) -> None:
        """See Sink."""
        if self._file is not None:
            self._file.write(data)

    def verified(self, piece: Piece) -> None:
        """See Sink."""

    def end(self) -> None:
        """See Sink."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def other(self, piece: Piece, meta: Meta) -> None:
        """See Sink.

        Raises:
            NotDumpable: a device, a FIFO, or a name that is not UTF-8.
        """
        if piece.kind not in ("d", "l"):
            raise NotDumpable("a zip archive cannot hold devices and FIFOs", remedy="use --archive tar")
        if piece.path != (self._strip or b"/"):  # the folder that was asked for has no name
            self._zip.writestr(self._member(piece, meta), meta.target)

    def close(self) -> None:
        """See Sink."""
        self._zip.close()

    def spoil(self) -> None:
        """See Sink. Without its table of contents it is no archive; nothing may write that later on."""
        self._zip.fp = None
        self._file = None

    def _member(self, piece: Piece, meta: Meta) -> zipfile.ZipInfo:
        try:
            name = member_name(piece.path, self._strip).decode()
        except UnicodeDecodeError as error:
            raise NotDumpable(
                "a zip archive cannot hold a name that is not UTF-8", remedy="use --archive tar"
            ) from error
        info = zipfile.ZipInfo(name + "/" * (piece.kind == "d"), _date(meta.mtime_ns))
        info.create_system = _UNIX
        info.external_attr = (meta.mode & 0xFFFF) << 16
        if piece.kind == "d":
            info.external_attr |= _DIRECTORY
        else:
            info.compress_type = zipfile.ZIP_DEFLATED
        info.file_size = piece.size if piece.kind == "f" else 0
        info.extra = _extra(meta)
        return info


class _Stream:
    """The part of a file that cannot go back."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def write(self, data: bytes, /) -> int:
        return self._out.write(data)

    def flush(self) -> None:
        self._out.flush()

    def close(self) -> None:
        """Left to whoever opened it."""


def _date(ns: int) -> tuple[int, int, int, int, int, int]:
    """The old field: local time, from 1980 on."""
    try:
        local = time.localtime(ns // 1_000_000_000)
    except (OverflowError, ValueError, OSError):
        return _FIRST_DAY
    if not _FIRST_DAY[0] <= local.tm_year <= _LAST_YEAR:
        return _FIRST_DAY
    return (local.tm_year, local.tm_mon, local.tm_mday, local.tm_hour, local.tm_min, local.tm_sec)


def _extra(meta: Meta) -> bytes:
    """Info-ZIP's fields: the time in UTC (UT) if it fits, owner and group (ux)."""
    seconds = meta.mtime_ns // 1_000_000_000
    when = struct.pack("<2sHBi", b"UT", 5, 1, seconds) if -_I32 <= seconds < _I32 else b""
    return when + struct.pack("<2sHBBIBI", b"ux", 11, 1, 4, meta.uid, 4, meta.gid)
