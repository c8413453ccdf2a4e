"""In which chunks the content of a file is: so that a file that is moved or copied is not stored again.

    name of the content 16 -> proof 8 | for each extent: chunk id 32, length of the chunk u32, offset u32, length u32

Names and proofs are keyed (`crypto.chunkid.FileNames`). An entry is a hint: whoever uses it asks the index whether the
chunks are still there.
"""

import hmac
import logging
import struct
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, NamedTuple

from crypto.chunkid import FileNames
from repository.access import VaultId
from repository.cache.environment import Environment
from repository.cache.generations import Generations
from repository.errors import CacheDamaged, CacheError

logger = logging.getLogger(__name__)

SCHEMA: Final = b"strongroom files 1\n"
MIN_SIZE: Final = 32 << 10
"""Bytes of the smallest file worth an entry: in a source tree a tenth of the files, and five sixths of the bytes."""
MAX_EXTENTS: Final = 8
"""Chunks of a longer file are found by themselves, all but the first and the last."""
MAX_BYTES: Final = 8 << 30
"""A table that has grown so large is begun anew: only deduplication of what is moved is lost."""
AGAIN_S: Final = 300.0
_FILES: Final = b"files"
_TABLES: Final = (_FILES,)
_EXTENT: Final = struct.Struct(">32sIII")
_PROOF: Final = 8


class Extent(NamedTuple):
    """Bytes of a file: `length` of them from `offset` on in a chunk of `chunk_length` bytes."""

    chunk_id: bytes
    chunk_length: int
    offset: int
    length: int


Extents = Sequence[tuple[bytes, int, int, int]]
"""Of one file, in order; each as `Extent`."""


class FileTable:
    """The files that the processes of a host have stored in one vault; it never fails, it only forgets.

    Args:
        folder: of this vault and this role, private, on a local disk.
        vault: whose files.
        most: bytes on the disk.
    """

    def __init__(self, folder: Path, vault: VaultId, most: int = MAX_BYTES) -> None:
        self._generations = Generations(folder)
        self._env = Environment(self._generations, SCHEMA + vault.tenant + vault.vault, _TABLES)
        self._most = most
        self._usable = False
        self._not_before = 0.0

    def close(self) -> None:
        """Give files and memory back."""
        self._env.close()
        self._usable = False

    def open(self) -> None:
        """Have the table open that counts now; call it before a run of `find`."""
        if time.monotonic() < self._not_before:
            return
        try:
            if not self._env.open() or self._env.size() > self._most:
                with self._generations.exclusive():
                    if not self._env.open() or self._env.size() > self._most:
                        self._env.replace(lambda: None)
            self._usable = True
        except CacheError as error:
            self._give_up(error)

    def find(self, names: FileNames, name: bytes, size: int) -> list[Extent]:
        """Where the content of this name is, if it is known and its entry is whole; nothing otherwise."""
        if not self._usable:
            return []
        try:
            value = self._env.get(_FILES, name)
            return [] if value is None else _decoded(names, name, value, size)
        except CacheError as error:
            self._give_up(error)
            return []

    def add(self, names: FileNames, files: Iterable[tuple[bytes, Extents]]) -> None:
        """Remember files, each by the name of its content; one that is known is told anew."""
        if not self._usable:
            return
        entries = sorted([_encoded(names, name, extents) for name, extents in files])
        try:
            self._env.update(lambda update: update.set(_FILES, entries))
        except CacheError as error:
            self._give_up(error)

    def exclusive(self) -> AbstractContextManager[None]:
        """Be the one process that puts another table in the place of this one."""
        return self._generations.exclusive()

    def _give_up(self, error: CacheError) -> None:
        logger.warning("without the table of files: %s", error)
        if isinstance(error, CacheDamaged):
            self._env.discard()
        self.close()
        self._not_before = time.monotonic() + AGAIN_S


class KnownFiles:
    """The table of a vault, under the vault's key.

    Args:
        table: open.
        names: of the same vault.
    """

    def __init__(self, table: FileTable, names: FileNames) -> None:
        self._table = table
        self._names = names

    def name(self, digest: bytes, size: int) -> bytes:
        """The name of a content, from its BLAKE3 and its length in bytes."""
        return self._names.name(digest, size)

    def find(self, name: bytes, size: int) -> list[Extent]:
        """Where the content is, if it is known; nothing otherwise."""
        return self._table.find(self._names, name, size)

    def add(self, files: Iterable[tuple[bytes, Extents]]) -> None:
        """Remember files, each by the name of its content."""
        self._table.add(self._names, files)


def _encoded(names: FileNames, name: bytes, extents: Extents) -> tuple[bytes, bytes]:
    pack = _EXTENT.pack
    said = b"".join([pack(*extent) for extent in extents])
    return name, names.proof(name, said) + said


def _decoded(names: FileNames, name: bytes, value: bytes, size: int) -> list[Extent]:
    """The extents of an entry.

    Raises:
        CacheDamaged: it is not what a holder of the vault's key wrote for this content.
    """
    proof, said = value[:_PROOF], value[_PROOF:]
    if not hmac.compare_digest(proof, names.proof(name, said)) or len(said) % _EXTENT.size:
        raise CacheDamaged("an entry of the table of files is damaged")
    extents = [Extent(*fields) for fields in _EXTENT.iter_unpack(said)]
    if sum(extent.length for extent in extents) != size:
        raise CacheDamaged("an entry of the table of files is of another length")
    return extents
