"""Writing a restored tree. Several processes may each have a `TreeWriter` on the same target.

Directories missing on the way are made on demand, owner-only, by whichever process comes first; their own
metadata is applied when everything is written (`finish_dirs`), by one process. A file appears under its own
name, mode 0600, until its metadata is applied; what could not be delivered is removed again (`discard`), so
that nothing half-written stays behind. Nothing that exists is opened, except a file in parts by its other
writers.
"""

import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from sources.filesystem.apply import MetadataApplier
from sources.filesystem.metadata import Meta
from sources.filesystem.target import PRIVATE_DIRECTORY, TargetTree
from sources.source import (
    Kind,
    MetaDamaged,
    Note,
    SourceError,
    UnsafePath,
    Unwritable,
    order_key,
    reason,
    unwritable,
    without_path,
)

_OPEN: Final = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PRIVATE_FILE: Final = 0o600
_MAX_PIECES: Final = 512
"""Buffers per writev; the kernel takes 1024."""

Piece = bytes | bytearray | memoryview


class TreeWriter:
    """Writes things below `target`, each at its snapshot path without the prefix `strip`.

    `target` exists (`prepare_target`). With `strip` empty, /a/b lands as target/a/b; with `strip` /a, as
    target/b, and /a is the target itself. Paths are absolute bytes. Every method raises UnsafePath for a path
    that would land elsewhere, TargetFull when nothing more can be written, Unwritable for what concerns this
    path only. What could be written but not with all its metadata is told by notes. Not for several threads
    at once.
    """

    def __init__(self, target: Path, strip: bytes = b"") -> None:
        """Opens the target.

        Raises:
            TargetUnusable: it is not a directory that can be opened.
        """
        self._tree = TargetTree(target, strip)
        self._applier = MetadataApplier(self._tree.root)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the handles of the target; files that the caller holds open are not touched."""
        self._tree.close()

    def make_dir(self, path: bytes, meta: Meta) -> None:
        """Makes a directory, owner-only for now; one that is there already is fine, a link to one is not.

        Raises:
            UnsafePath, Unwritable, TargetFull: as the class says.
        """
        _require_kind(path, meta, "d")
        if self._tree.is_top(path):
            return
        parent, name = self._tree.place(path)
        try:
            os.mkdir(name, PRIVATE_DIRECTORY, dir_fd=parent)
        except FileExistsError:
            self._tree.directory(path)
        except OSError as error:
            raise unwritable(path, error) from without_path(error)

    def write_file(self, path: bytes, meta: Meta, pieces: Sequence[Piece]) -> list[Note]:
        """Writes a whole file whose content is at hand, with its metadata: the fast way for small files.

        On any error nothing of the file stays behind.

        Raises:
            UnsafePath, Unwritable, TargetFull: as the class says.
        """
        _require_kind(path, meta, "f")
        fd = self.open_file(path, 0)
        try:
            _write_all(fd, pieces)
        except OSError as error:
            os.close(fd)
            self.discard(path)
            raise unwritable(path, error) from without_path(error)
        try:
            return self.finish_file(fd, path, meta)
        except SourceError:
            self.discard(path)
            raise

    def open_file(self, path: bytes, size: int) -> int:
        """Creates a file that must not exist; returns its descriptor, which `finish_file` closes.

        `size`: bytes; the file has this length at once, so that what is not written is a hole. 0 to let it
        grow.

        Raises:
            UnsafePath, Unwritable, TargetFull: as the class says.
        """
        parent, name = self._tree.place(path)
        try:
            fd = os.open(name, _OPEN | os.O_EXCL, _PRIVATE_FILE, dir_fd=parent)
        except OSError as error:
            raise unwritable(path, error) from without_path(error)
        return _sized(fd, path, size) if size else fd

    def open_part(self, path: bytes, size: int) -> int:
        """Opens a file that several writers fill, each its own ranges by pwrite; the first creates it.

        `size`: bytes of the whole file. One of the writers, after all have written, calls `finish_file`; the
        others close the descriptor. Also refuses (UnsafePath) what is not a plain file with one name.
        """
        parent, name = self._tree.place(path)
        try:
            fd = os.open(name, _OPEN, _PRIVATE_FILE, dir_fd=parent)
        except OSError as error:
            raise unwritable(path, error) from without_path(error)
        st = os.fstat(fd)
        if not stat.S_ISREG(st.st_mode) or st.st_nlink != 1:
            os.close(fd)
            raise UnsafePath(path, "refused: something else is in the place of this file")
        return fd if st.st_size == size else _sized(fd, path, size)

    def finish_file(self, fd: int, path: bytes, meta: Meta) -> list[Note]:
        """Applies the metadata to a written file and closes `fd`, whatever happens."""
        try:
            _require_kind(path, meta, "f")
            return self._applier.to_open(fd, path, meta)
        finally:
            _close_written(fd, path)

    def discard(self, path: bytes) -> None:
        """Removes a file, link or node of this restore that could not be delivered; gone already is fine.

        Raises:
            UnsafePath, Unwritable, TargetFull: as the class says.
        """
        parent, name = self._tree.place(path)
        try:
            os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            return
        except OSError as error:
            raise unwritable(path, error) from without_path(error)

    def make_node(self, path: bytes, meta: Meta) -> list[Note]:
        """Makes a link, FIFO or device with its metadata; a device that may not be made is a note.

        Raises:
            UnsafePath, Unwritable, TargetFull: as the class says.
        """
        _require_kind(path, meta, "l", "p", "c", "b")
        parent, name = self._tree.place(path)
        try:
            if meta.kind == "l":
                os.symlink(meta.target, name, dir_fd=parent)
            elif meta.kind == "p":
                os.mkfifo(name, _PRIVATE_FILE, dir_fd=parent)
            else:
                device = stat.S_IFCHR if meta.kind == "c" else stat.S_IFBLK
                try:
                    os.mknod(name, device | _PRIVATE_FILE, meta.rdev, dir_fd=parent)
                except PermissionError as error:
                    return [
                        (path, f"this device node is not restored: {reason(error)} (only root may make one)")
                    ]
            return self._applier.to_node(parent, name, path, meta)
        except OSError as error:
            raise unwritable(path, error) from without_path(error)

    def link(self, existing: bytes, path: bytes) -> None:
        """Makes `path` another name of what was restored as `existing`; a symbolic link is not followed.

        Raises:
            Unwritable: also when `existing` was not restored.
        """
        parent, name = self._tree.place(existing)
        source = os.dup(parent)  # the next place may close the handle
        try:
            parent, new = self._tree.place(path)
            os.link(name, new, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError as error:
            raise Unwritable(path, "the file it is a hard link to was not restored") from without_path(error)
        except OSError as error:
            raise unwritable(path, error) from without_path(error)
        finally:
            os.close(source)

    def finish_dirs(self, dirs: Iterable[tuple[bytes, Meta]]) -> list[Note]:
        """Applies the metadata of directories, deepest first, after everything below them is written.

        A directory that cannot be reached is a note; the others go on.
        """
        notes: list[Note] = []
        for path, meta in sorted(dirs, key=lambda item: order_key(item[0]), reverse=True):
            try:
                _require_kind(path, meta, "d")
                notes += self._applier.to_open(self._tree.directory(path), path, meta)
            except SourceError as error:
                notes.append((path, f"its metadata is not restored: {error}"))
        return notes


def _require_kind(path: bytes, meta: Meta, *kinds: Kind) -> None:
    if meta.kind not in kinds:
        raise MetaDamaged(
            path, "its stored metadata is that of another kind of thing", remedy="run check on the vault"
        )


def _sized(fd: int, path: bytes, size: int) -> int:
    try:
        os.ftruncate(fd, size)
    except OSError as error:
        os.close(fd)
        raise unwritable(path, error) from without_path(error)
    return fd


def _close_written(fd: int, path: bytes) -> None:
    """Closes; some network file systems only then say that the disk is full."""
    try:
        os.close(fd)
    except OSError as error:
        raise unwritable(path, error) from without_path(error)


def _write_all(fd: int, pieces: Sequence[Piece]) -> None:
    """Writes the pieces one after the other, in as few calls as the kernel allows."""
    for start in range(0, len(pieces), _MAX_PIECES):
        batch = pieces[start : start + _MAX_PIECES]
        written = os.writev(fd, batch)
        for piece in batch:
            written -= len(piece)
            if (
                written < 0
            ):  # the kernel took only a part: the rest of this piece, and all after it, go one by one
                _write_rest(fd, memoryview(piece)[written if -written < len(piece) else 0 :])


def _write_rest(fd: int, rest: memoryview) -> None:
    while rest:
        rest = rest[os.write(fd, rest) :]
