"""The walk: every thing below some roots, in path order, with one lstat each.

This is the part of an unchanged backup that cannot be avoided, so the loop does as little per file as Python
allows.
"""

import os
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Final, Protocol

from sources.filesystem.guard import NOTHING, Guard
from sources.filesystem.longpath import PATH_LIMIT, reachable
from sources.filesystem.stamps import KINDS, stamp_of
from sources.patterns import Patterns
from sources.source import Found, MissingRoot, Report, order_key, reason, without_path

_FORMAT: Final = 0o170000
_NAME_LIMIT: Final = 256
_SOCKET: Final = "a socket has no content and is not backed up"


class _Entry(Protocol):
    """What the loop needs of an `os.DirEntry`."""

    @property
    def name(self) -> bytes: ...
    @property
    def path(self) -> bytes: ...
    def stat(self, *, follow_symlinks: bool) -> os.stat_result: ...


def walk(
    roots: Sequence[bytes], excludes: Patterns, on_error: Report, on_skip: Report, guard: Guard = NOTHING
) -> Iterator[Found]:
    """Yields the roots and everything below them in path order (`order_key`); follows no symbolic link.

    Args:
        roots: absolute paths; duplicates and roots inside other roots are merged.
        excludes: what to leave out, with everything below it; a root that is left out is told to `on_skip`.
        on_error: called with a path and the reason when a directory or entry cannot be read; the walk goes
            on.
        on_skip: called with a path and the reason for what is never backed up (sockets, what is guarded).
        guard: what must not be read; it is told to `on_skip`, and nothing below it is looked at.

    Raises:
        MissingRoot: before anything is walked, for the first root that is not there or not an absolute path.
    """
    found = [(root, _lstat_root(root)) for root in merge_roots(roots)]
    return _walk(found, excludes, on_error, on_skip, guard)


def merge_roots(roots: Sequence[bytes]) -> list[bytes]:
    """The roots in path order, without duplicates and without those inside another.

    Raises:
        MissingRoot: a root is relative, or holds `..` or NUL.
    """
    merged: list[bytes] = []
    for root in sorted({_normal(root) for root in roots}, key=order_key):
        if not merged or not _is_inside(root, merged[-1]):
            merged.append(root)
    return merged


def _normal(root: bytes) -> bytes:
    names = [name for name in root.split(b"/") if name not in (b"", b".")]
    if not root.startswith(b"/") or b".." in names or b"\0" in root:
        raise MissingRoot(root, "is not an absolute path", remedy="give the full path, without '..'")
    return b"/" + b"/".join(names)


def _is_inside(path: bytes, directory: bytes) -> bool:
    return directory == b"/" or path.startswith(directory + b"/")


def _lstat_root(root: bytes) -> os.stat_result:
    try:
        with reachable(root) as near:
            return os.lstat(near)
    except OSError as error:
        raise MissingRoot(
            root,
            f"a path to back up cannot be found: {reason(error)}",
            remedy="check its spelling and whether it is mounted",
        ) from without_path(error)


def _walk(
    roots: list[tuple[bytes, os.stat_result]],
    excludes: Patterns,
    on_error: Report,
    on_skip: Report,
    guard: Guard,
) -> Iterator[Found]:
    for root, st in roots:
        kind = KINDS.get(st.st_mode & _FORMAT)
        if excludes.matches(root):
            on_skip(root, "excluded by a pattern although it was asked for")
        elif why := guard.forbids(st) or guard.forbids_below(root):
            on_skip(root, why)
        elif kind is None:
            on_skip(root, _SOCKET)
        else:
            yield Found(root, kind, st.st_size if kind == "f" else 0, stamp_of(st))
            if kind == "d":
                yield from _below(root, excludes, on_error, on_skip, guard)


def _below(
    directory: bytes, excludes: Patterns, on_error: Report, on_skip: Report, guard: Guard
) -> Iterator[Found]:
    excluded = excludes.matches_child if excludes else None
    kinds, stamp, guarded = KINDS, stamp_of, guard.inodes
    stack = [_entries(directory, on_error)]
    while stack:
        for entry in stack[-1]:
            path = entry.path
            if excluded is not None and excluded(path, entry.name):
                continue
            try:
                st = entry.stat(follow_symlinks=False)
            except OSError as error:
                on_error(path, f"vanished or unreadable: {reason(error)}")
                continue
            kind = kinds.get(st.st_mode & _FORMAT)
            if kind is None:
                on_skip(path, _SOCKET)
                continue
            if (kind == "d" or st.st_ino in guarded) and (why := guard.forbids(st)):
                on_skip(path, why)
                continue
            yield Found(path, kind, st.st_size if kind == "f" else 0, stamp(st))
            if kind == "d":
                stack.append(_entries(path, on_error))
                break  # its content comes first; the loop above takes up this level again
        else:
            stack.pop()


def _entries(directory: bytes, on_error: Report) -> Iterator[_Entry]:
    """The entries of a directory by name; whatever was listed before an error is kept."""
    entries: list[_Entry] = []
    try:
        if len(directory) > PATH_LIMIT - _NAME_LIMIT:
            _list_far(directory, entries)
        else:
            with os.scandir(directory) as listing:
                entries.extend(listing)
    except OSError as error:
        on_error(directory, f"the directory cannot be read: {reason(error)}")
    entries.sort(key=attrgetter("name"))
    return iter(entries)


class _FarEntry:
    """An entry whose path is too long for its own lstat: looked at while its directory was at hand."""

    __slots__ = ("_seen", "name", "path")

    def __init__(self, directory: bytes, entry: "os.DirEntry[bytes]") -> None:
        self.name = entry.name
        self.path = directory + b"/" + entry.name
        self._seen: os.stat_result | OSError
        try:
            self._seen = entry.stat(follow_symlinks=False)
        except OSError as error:
            self._seen = error

    def stat(self, *, follow_symlinks: bool) -> os.stat_result:
        """The lstat, or the error, of the time of listing."""
        assert not follow_symlinks
        if isinstance(self._seen, OSError):
            raise self._seen
        return self._seen


def _list_far(directory: bytes, entries: list[_Entry]) -> None:
    with reachable(directory) as near, os.scandir(near) as listing:
        entries.extend([_FarEntry(directory, entry) for entry in listing])
