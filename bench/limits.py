"""What one core of this machine can do with the same bytes: `python -m bench.limits FOLDER`.

A target that is missed is set against these. The bytes are those of the files of FOLDER, one after another, and as
many random ones; in pieces of 1 MiB, by one thread, in memory or on --dir's tmpfs.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import blake3
import msgspec
import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bench.measured import Result
from bench.sizes import MB
from repository.chunker import Chunker

PIECE = 1 << 20
_SEED = 1
_NONCE = bytes(12)
"""One nonce for all: the key is thrown away, and only time is looked at."""

_T = TypeVar("_T")
Work = Callable[[], None]


@dataclass(frozen=True)
class Found:
    """One step over one kind of bytes, `tree` or `random`."""

    what: str
    of: str
    result: Result


def measure(data: bytes, folder: Path) -> Iterator[tuple[str, Result]]:
    """Rates of each single step over `data`.

    Args:
        data: some megabytes of what is backed up.
        folder: on the file system that is measured; a file is made there and removed.

    Yields:
        What was done, and the time it took.
    """
    pieces = [memoryview(data)[start : start + PIECE] for start in range(0, len(data), PIECE)]
    path = folder / "probe"
    for name, work in _works(memoryview(data), pieces, path):
        yield name, _timed(work, len(data))
    path.unlink()


def _works(data: memoryview, pieces: list[memoryview], path: Path) -> Iterator[tuple[str, Work]]:
    buffer = bytearray(PIECE)
    sealer, compressor = AESGCM(os.urandom(32)), zstandard.ZstdCompressor(level=1)
    compressed = [compressor.compress(piece) for piece in pieces]
    opener = zstandard.ZstdDecompressor()
    key, chunker = os.urandom(32), Chunker(_SEED)

    def write() -> None:
        with path.open("wb", buffering=0) as file:
            for piece in pieces:
                file.write(piece)

    def read() -> None:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass

    yield "write a file", write
    yield "read it", read
    yield "memcpy", lambda: _each(pieces, lambda piece: buffer.__setitem__(slice(len(piece)), piece))
    yield "BLAKE3, keyed", lambda: _each(pieces, lambda piece: blake3.blake3(piece, key=key).digest())
    yield "FastCDC", lambda: _drain(chunker.cut(data))
    yield "zstd -1", lambda: _each(pieces, compressor.compress)
    yield "zstd -d", lambda: _each(compressed, opener.decompress)
    yield "AES-256-GCM", lambda: _each(pieces, lambda piece: sealer.encrypt(_NONCE, piece, None))


def small_files(folder: Path) -> Iterator[tuple[str, Result]]:
    """What the kernel takes for each file of a tree: naming it, and reading it.

    Yields:
        What was done, and the time it took; `files` says over how many.
    """
    paths: list[str] = []
    yield "walk, lstat", _timed(lambda: paths.extend(_walk(str(folder))), 0, paths)
    yield "open, fstat, read, close", _timed(lambda: _each(paths, _read), 0, paths)


def _walk(folder: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path)
            else:
                os.lstat(entry.path)
                yield entry.path


def _read(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.read(descriptor, os.fstat(descriptor).st_size + 1)
    finally:
        os.close(descriptor)


def _timed(work: Work, handled: int, paths: list[str] | None = None) -> Result:
    cpu, wall = _cpu(), time.perf_counter()
    work()
    wall, cpu = time.perf_counter() - wall, _cpu() - cpu
    return Result(wall, cpu, handled=handled or None, files=None if paths is None else len(paths))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _each(things: Sequence[_T], do: Callable[[_T], object]) -> None:
    for thing in things:
        do(thing)


def _drain(chunks: Iterator[object]) -> None:
    for _ in chunks:
        pass


def some_bytes(folder: Path, size: int) -> bytes:
    """The first `size` bytes of the files below a folder, one after another; fewer if there are no more."""
    gathered = bytearray()
    for path in _walk(str(folder)):
        with open(path, "rb") as file:
            gathered += file.read(size - len(gathered))
        if len(gathered) >= size:
            break
    return bytes(gathered)


def main(arguments: list[str] | None = None) -> int:
    """Entry point; prints a line for each step, or one JSON list."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.limits", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("folder", type=Path, help="with files like those that are backed up")
    parser.add_argument("--mb", type=int, default=256, help="how much of them, and of random bytes")
    parser.add_argument("--dir", type=Path, default=Path("/dev/shm"), help="where a file is written")  # noqa: S108
    parser.add_argument("--json", action="store_true", help="for bench.run")
    options = parser.parse_args(arguments)
    kinds = {"tree": some_bytes(options.folder, options.mb * MB), "random": os.urandom(options.mb * MB)}
    with tempfile.TemporaryDirectory(prefix="strongroom-limits-", dir=options.dir) as folder:
        found = [
            Found(what, kind, result)
            for kind, data in kinds.items()
            for what, result in measure(data, Path(folder))
        ]
    found += [Found(what, "tree", result) for what, result in small_files(options.folder)]
    if options.json:
        print(msgspec.json.encode(found).decode())
    else:
        for each in found:
            print(f"{each.of:<7} {each.what:<24} {_rate(each.result):>20}")
    return 0


def _rate(result: Result) -> str:
    if result.handled:
        return f"{result.handled / MB / result.wall:,.0f} MB/s"
    return f"{result.wall / max(result.files or 0, 1) * 1e6:.1f} µs a file"


if __name__ == "__main__":
    sys.exit(main())
