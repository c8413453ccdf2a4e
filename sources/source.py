"""What every source speaks: the values it yields, the buffer it fills and the errors it raises.

The errors, as a tree::

    StrongroomError
    └── SourceError            .path: the bytes of the path it is about
        ├── MissingRoot        a path that was asked for is not there, or is no usable path
        ├── Vanished           was listed, is gone
        ├── Replaced           is no longer the kind of thing that was listed
        ├── Unreadable         the system refuses to read it
        ├── Skipped            never backed up (sockets)
        ├── MetaDamaged        stored metadata that no writer of ours produced
        ├── UnsafePath         a stored path or type that would leave the target; refused
        ├── Unwritable         the system refuses to write it
        │   └── TargetFull     no space or quota left: every other file will fail too
        ├── TargetNotEmpty     a restore needs an empty directory
        └── TargetUnusable     the target is no directory, or may not be written

Except for the two about the target, which only the client raises, no message holds a path, nor does the chain
of
causes: these errors may pass through a worker's log (DESIGN.md, guarantee 1). `SourceError.named` is for the
    person.
"""

import errno
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Final, Literal, NamedTuple, Protocol, Self

import msgspec

from config.errors import StrongroomError
from sources.patterns import Patterns

Kind = Literal["f", "d", "l", "p", "c", "b"]
"""Regular file, directory, symbolic link, FIFO, character device, block device."""

Note = tuple[bytes, str]
"""A path, and what about it a person should know."""

Report = Callable[[bytes, str], None]
"""Is told a path and what about it a person should know."""


class Sink(Protocol):
    """The reused buffer that a file is read into, so that its bytes are never copied."""

    def space(self) -> memoryview:
        """The free part of the buffer: writable, contiguous, never empty."""
        ...

    def filled(self, count: int) -> None:
        """Says that the first `count` bytes of the last `space()` now hold the source's next bytes."""
        ...


class Found(NamedTuple):
    """One thing seen by a walk.

    `path`: absolute bytes, no trailing slash. `size`: bytes, 0 unless a regular file. `stamp`: 32 opaque
    bytes; equal to an earlier stamp of the same path means that nothing about it has changed since.
    """

    path: bytes
    kind: Kind
    size: int
    stamp: bytes


class ReadItem(msgspec.Struct, frozen=True, gc=False):
    """What a read or a description found.

    `stamp`: as in `Found`, taken before the first byte was read; never equal to any other when the thing
    changed too recently for the clock to tell. `size`: bytes of the whole file. `meta`: encoded `Meta`.
    `ranges`: (offset, length) of the bytes that were delivered, ascending; () when the span asked for was
    delivered without gaps, and the one empty range (offset, 0) when it is all hole. `changed`: "" or why the
    content may be torn. `warnings`: what could not be read beside the content (xattrs).
    """

    stamp: bytes
    size: int
    meta: bytes
    ranges: tuple[tuple[int, int], ...]
    changed: str
    warnings: tuple[str, ...] = ()


class Wanted(msgspec.Struct, frozen=True, gc=False):
    """Content that is to be read: `length` bytes from `offset`, or all of it (None), of what a walk found."""

    path: bytes
    size: int
    stamp: bytes
    offset: int = 0
    length: int | None = None


class Reader(Protocol):
    """Reads things of one source, one after the other, on behalf of one task. Not for several threads."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def expect(self, wanted: Iterable[Wanted]) -> None:
        """Says what `read` will be asked for, in that order: a source that is far away fetches some of it ahead.

        Taken from bit by bit, and not at all where the system reads ahead by itself.
        """
        ...

    def describe(self, path: bytes, kind: Kind) -> ReadItem:
        """The metadata of something that has no content.

        Raises:
            SourceError: about this path.
        """
        ...

    def read(self, wanted: Wanted, sink: Sink) -> ReadItem:
        """Reads the content of a file into `sink`, with its metadata.

        Raises:
            SourceError: about this path, also in the middle; the caller then drops the bytes already delivered.
            StrongroomError: any other: the whole source cannot be read now.
        """
        ...


class Source(Protocol):
    """What one backup reads."""

    @property
    def roots(self) -> Sequence[bytes]:
        """The paths at and below which everything lies, as a snapshot remembers them."""
        ...

    @property
    def host(self) -> str:
        """Whose paths they are, if not those of the host that was asked to read them: then empty."""
        ...

    def walk(self, excludes: Patterns, on_error: Report, on_skip: Report) -> Iterator[Found]:
        """Everything there is, in path order (`order_key`).

        Args:
            excludes: what to leave out, with everything below it.
            on_error: told of what cannot be read; the walk goes on.
            on_skip: told of what is never backed up.

        Raises:
            MissingRoot: before anything is walked: a root is not there.
        """
        ...

    def look(self, path: bytes, offset: int, out: memoryview) -> int:
        """Fill `out` with bytes of a file from `offset` on; returns how many, 0 also when it cannot be read.

        Nothing but where a huge file is cut depends on what is found.
        """
        ...

    def reader(self) -> Reader:
        """Reads what the walk found, also in another process."""
        ...


def order_key(path: bytes) -> bytes:
    """Sorting by this key is path order: a directory before its content, siblings by their bytes."""
    return path.replace(b"/", b"\0")


def shown(path: bytes) -> str:
    """The path as printable text: valid UTF-8 as it is, any other byte as \\xNN."""
    text = path.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class SourceError(StrongroomError):
    """Something about one path. `path` is absolute bytes."""

    def __init__(self, path: bytes, message: str, *, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.path = path

    @property
    def named(self) -> str:
        """The message with the path in front: for the person who asked, never for a log."""
        return f"{shown(self.path)}: {self}"


class MissingRoot(SourceError):
    """A path that was asked for cannot be backed up at all."""


class Vanished(SourceError):
    """It was there when it was listed and is gone."""


class Replaced(SourceError):
    """It is no longer the kind of thing that was listed."""


class Unreadable(SourceError):
    """The system refuses to read it."""


class Skipped(SourceError):
    """A kind of thing that has no content to back up, such as a socket."""


class MetaDamaged(SourceError):
    """Stored metadata that cannot be decoded or is out of range."""


class UnsafePath(SourceError):
    """A stored path, link or type that a restore must not follow."""


class Unwritable(SourceError):
    """The system refuses to write it."""


class TargetFull(Unwritable):
    """No space, inodes or quota left in the target."""


class TargetNotEmpty(SourceError):
    """A restore never mixes with what is there already."""


class TargetUnusable(SourceError):
    """The target of a restore is not a directory that can be written."""


_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_GONE: Final = frozenset({errno.ENOENT, errno.ESTALE})
_OTHER_KIND: Final = frozenset({errno.ELOOP, errno.ENOTDIR, errno.ENXIO})


def reason(error: OSError) -> str:
    """The system's words for an error, without the path."""
    return (error.strerror or error.__class__.__name__).lower()


def without_path(error: OSError) -> OSError:
    """The same error without the file names that Python attaches: a chained traceback shows no path."""
    return OSError(error.errno, error.strerror)


def unreadable(path: bytes, error: OSError) -> SourceError:
    """What the system said about reading `path`, as ours; the caller raises it `from without_path(error)`."""
    if error.errno in _GONE:
        return Vanished(path, "vanished before it could be read")
    if error.errno in _OTHER_KIND:
        return Replaced(path, "was replaced by something else before it could be read")
    return Unreadable(path, f"cannot be read: {reason(error)}")


def unwritable(path: bytes, error: OSError) -> SourceError:
    """What the system said about writing `path`, as ours; the caller raises it `from without_path(error)`."""
    if error.errno in _FULL:
        return TargetFull(
            path,
            f"the target is full: {reason(error)}",
            remedy="free space or restore elsewhere, then restore again",
        )
    if error.errno in _OTHER_KIND:
        return UnsafePath(path, "refused: something on its way is not a directory of this restore")
    return Unwritable(path, f"cannot be written: {reason(error)}")
