"""What is backed up: a tree of many small real files, and a few big ones."""

import os
import shutil
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError
from bench.sizes import Sizes

SMALL = 512 * 1024
"""Longest file of the tree, in bytes."""
SMALL_NAME = "small.txt"
"""The small file between the big ones."""
_NOTE = b"A few lines that somebody wants back from between gigabytes.\n" * 60
_PIECE = 1 << 20
_SALT = 16


@dataclass(frozen=True)
class Dataset:
    """A folder to back up and what is in it; `salted` files are altered copies, made where real files ran out."""

    name: str
    folder: Path
    files: int
    bytes: int
    salted: int = 0


def python_folders() -> list[Path]:
    """Folders of Python code on this machine: the library, installed packages, the distribution's packages."""
    paths = sysconfig.get_paths()
    candidates = [paths["stdlib"], paths["purelib"], paths["platlib"], "/usr/lib/python3/dist-packages"]
    return [Path(path) for path in dict.fromkeys(map(os.path.realpath, candidates)) if os.path.isdir(path)]


def make_tree(folder: Path, sources: Sequence[Path], sizes: Sizes) -> Dataset:
    """Copy small files from `sources` below `folder` until there are enough.

    When the sources are used up they are copied again, each file behind random bytes of its own, so that no copy
    deduplicates against another.

    Raises:
        BenchError: the sources hold no small file.
    """
    files = total = salted = 0
    copies = 0
    while files < sizes.files or total < sizes.tree_bytes:
        before = files
        for number, source in enumerate(sources):
            for path, size in _small_files(source):
                if files >= sizes.files and total >= sizes.tree_bytes:
                    break
                salt = os.urandom(_SALT).hex().encode() + b"\n" if copies else b""
                _copy(path, folder / f"copy{copies}" / str(number) / path.relative_to(source), salt)
                files, total, salted = files + 1, total + size + len(salt), salted + bool(salt)
        if files == before:
            raise BenchError("no small files to copy; name a folder with --source")
        copies += 1
    return Dataset("tree", folder, files, total, salted)


def make_big(folder: Path, tree: Path, sizes: Sizes) -> Dataset:
    """One file of random bytes, one tar file of the tree, and a small file whose name sorts between theirs."""
    folder.mkdir(parents=True)
    with (folder / "random.bin").open("wb") as out:
        left = sizes.random
        while left:
            left -= out.write(os.urandom(min(left, _PIECE)))
    archive = shutil.make_archive(str(folder / "tree"), "tar", tree.parent, tree.name)
    (folder / SMALL_NAME).write_bytes(_NOTE)
    total = sizes.random + os.path.getsize(archive) + len(_NOTE)
    return Dataset("big", folder, 3, total)


def compare(original: Path, restored: Path) -> None:
    """Check that a restored folder holds the same names, sizes, modes, times (to the second) and bytes.

    Raises:
        BenchError: names the first difference.
    """
    ours, theirs = dict(_entries(original)), dict(_entries(restored))
    if ours != theirs:
        differing = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
        raise BenchError(f"{len(differing)} entries differ after restore, the first is {differing[0]}")
    for name, (_mode, size, _mtime) in ours.items():
        if size is not None and not _same_bytes(original / name, restored / name):
            raise BenchError(f"content differs after restore: {name}")


def stored_bytes(folder: Path) -> int:
    """Sum of the sizes of all files below `folder`."""
    return sum(entry[1] or 0 for _name, entry in _entries(folder))


def _entries(folder: Path) -> Iterator[tuple[str, tuple[int, int | None, int]]]:
    """(relative name, (mode, size of a file, mtime of a file in seconds)) of everything below a folder."""
    for parent, folders, files in os.walk(folder):
        for name in folders:
            path = os.path.join(parent, name)
            yield os.path.relpath(path, folder), (os.lstat(path).st_mode, None, 0)
        for name in files:
            path = os.path.join(parent, name)
            found = os.lstat(path)
            yield os.path.relpath(path, folder), (found.st_mode, found.st_size, int(found.st_mtime))


def _same_bytes(left: Path, right: Path) -> bool:
    with left.open("rb") as a, right.open("rb") as b:
        while piece := a.read(_PIECE):
            if piece != b.read(_PIECE):
                return False
        return not b.read(1)


def _small_files(source: Path) -> Iterator[tuple[Path, int]]:
    for parent, folders, files in os.walk(source):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(parent, name)
            if os.path.isfile(path) and not os.path.islink(path) and os.path.getsize(path) <= SMALL:
                yield Path(path), os.path.getsize(path)


def _copy(source: Path, target: Path, salt: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(salt + source.read_bytes())
    shutil.copystat(source, target)
