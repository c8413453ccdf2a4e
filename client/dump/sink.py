"""Where a dump's files go, one after the other: as they are, or into an archive."""

from typing import BinaryIO, Final, Protocol

from client.errors import NotDumpable
from crypto.parcel import Piece
from sources.filesystem.metadata import Meta

_ODD: Final = frozenset({b"", b".", b".."})


class Sink(Protocol):
    """Takes things in path order. A file is `begin`, its bytes, `verified` for each of its parts, `end`."""

    def begin(self, piece: Piece, meta: Meta) -> None:
        """A file of `piece.size` bytes follows.

        Raises:
            NotDumpable: it cannot be held; nothing was written.
            OSError: as all other methods, from what is written to.
        """
        ...

    def write(self, data: memoryview) -> None:
        """The file's next bytes; those of holes are zeros."""
        ...

    def verified(self, piece: Piece) -> None:
        """A part of the file, or all of it, was held against its digest.

        Raises:
            EntryDamaged: it is not what the sink was told at first.
        """
        ...

    def end(self) -> None:
        """The file is whole."""
        ...

    def other(self, piece: Piece, meta: Meta) -> None:
        """A thing without content.

        Raises:
            NotDumpable: it cannot be held; nothing was written.
        """
        ...

    def close(self) -> None:
        """Everything was written."""
        ...

    def spoil(self) -> None:
        """Nothing more will come, although not everything has: no reader may take this for the whole."""
        ...


class Content:
    """The content of the one file that was asked for, and nothing else."""

    def __init__(self, out: BinaryIO, path: bytes) -> None:
        self._out, self._path = out, path
        self._wanted = False

    def begin(self, piece: Piece, meta: Meta) -> None:
        """See Sink. In a bucket, objects may lie below an object; those were not asked for."""
        self._wanted = piece.path == self._path

    def write(self, data: memoryview) -> None:
        """See Sink."""
        if self._wanted:
            self._out.write(data)

    def verified(self, piece: Piece) -> None:
        """See Sink."""

    def end(self) -> None:
        """See Sink."""
        self._wanted = False

    def other(self, piece: Piece, meta: Meta) -> None:
        """See Sink."""

    def close(self) -> None:
        """See Sink."""

    def spoil(self) -> None:
        """See Sink. Content says nothing about its end: only the exit code does."""


def member_name(path: bytes, strip: bytes) -> bytes:
    """A path's name in an archive: relative to what was asked for, which itself is `.`.

    Raises:
        NotDumpable: it is elsewhere, or would lead whoever unpacks the archive elsewhere.
    """
    if path == (strip or b"/"):
        return b"."
    below = path[len(strip) + 1 :]
    if not path.startswith(strip + b"/") or b"\0" in below or _ODD & set(below.split(b"/")):
        raise NotDumpable("its path is not below what was asked for", remedy="use the same release")
    return below
