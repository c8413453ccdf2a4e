"""One LMDB environment, shared by the processes of a role: replaced as a whole when it is of no use, never repaired."""

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from mmap import mmap
from pathlib import Path
from typing import Final, TypeVar, cast

import lmdb

from repository.cache.generations import Generations, unusable
from repository.cache.readers import IDLE, READING, WRITING, Mark, killed_somebody
from repository.errors import CacheDamaged, CacheError, CacheReplaced

READERS: Final = 512
MAP_START: Final = 64 << 20
LARGE: Final = 96 << 20
"""From this size on, the mapping is given back now and then, so that it does not fill the process's memory."""
READS_A_MAPPING: Final = 1024
_HEADER: Final = b"header"
_PAGES: Final = 2
"""The least number of pages that LMDB opens: its two meta pages."""
_DAMAGE: Final = (
    lmdb.BadTxnError,
    lmdb.BadValsizeError,
    lmdb.CorruptedError,
    lmdb.CursorFullError,
    lmdb.InvalidError,
    lmdb.NotFoundError,
    lmdb.PageFullError,
    lmdb.PageNotFoundError,
    lmdb.PanicError,
    lmdb.VersionMismatchError,
)

T = TypeVar("T")


class Environment:
    """Tables of bytes that the processes of a host share; one thread of a process at a time.

    Open it after the fork. Reads take one transaction each: none is held while the process does something else, so
    that the writer can use freed pages again.

    Args:
        generations: where it lies, and which of them counts.
        header: what the content is of and how it is written; another header does not fit.
        tables: names of the tables.
    """

    def __init__(self, generations: Generations, header: bytes, tables: Sequence[bytes]) -> None:
        self._generations = generations
        self._header = header
        self._names = tables
        self._env: lmdb.Environment | None = None
        self._tables: dict[bytes, lmdb._Database] = {}
        self._mark: Mark | None = None
        self._generation = ""
        self._large = False
        self._reads = 0

    def open(self) -> bool:
        """Have the generation open that counts now; False if there is none that can be used."""
        generation = self._generations.current()
        if self._env is not None and generation == self._generation:
            return True
        self.close()
        if not generation:
            return False
        try:
            self._attach(generation, create=False)
        except (lmdb.Error, OSError, CacheDamaged):
            self.close()
            self._generations.forget(generation)
            return False
        return True

    def close(self) -> None:
        """Give the files and the memory back; nothing happens when it is not open."""
        self._unmap()
        if self._mark is not None:
            self._mark.close()
        self._mark = None

    def discard(self) -> None:
        """Forget the generation that is open: it is not to be trusted."""
        self.close()
        self._generations.forget(self._generation)

    def replace(self, fill: Callable[[], None]) -> None:
        """Make a generation with what `fill` writes into it, and let it count once it is complete and on the disk.

        Only within `Generations.exclusive`.

        Raises:
            CacheUnusable: no room, or not our folder; the former generation is left as it was.
        """
        self.close()
        generation = ""
        try:
            generation = self._generations.new()
            self._attach(generation, create=True)
            fill()
            self._opened()[0].sync(True)
            self._generations.publish(generation)
        except BaseException as error:
            self.close()
            if generation:
                self._generations.remove(generation)
            if isinstance(error, lmdb.Error | OSError):
                raise unusable(str(error)) from error
            raise

    def get(self, table: bytes, key: bytes) -> bytes | None:
        """The value of a key.

        Raises:
            CacheDamaged: it cannot be read.
            CacheUnusable: there are too many readers.
        """
        self._reads += 1
        if self._reads >= READS_A_MAPPING:
            self.remap()
        for _ in range(2):
            env, doing = self._opened()
            doing[0] = READING
            try:
                txn = env.begin()
                try:
                    return txn.get(key, None, self._tables[table])
                finally:
                    txn.abort()
            except lmdb.MapResizedError:
                env.set_mapsize(0)
            except lmdb.ReadersFullError:
                env.reader_check()
            except lmdb.Error as error:
                raise _translated(error) from error
            finally:
                doing[0] = IDLE
        raise unusable("too many processes read it")

    def items(self, table: bytes, after: bytes, most: int) -> list[tuple[bytes, bytes]]:
        """At most so many entries in key order, from the key `after` (and with it) on.

        Raises:
            CacheDamaged, CacheUnusable: as `get`.
        """

        def read(txn: lmdb.Transaction) -> list[tuple[bytes, bytes]]:
            cursor = txn.cursor(self._tables[table])
            found: list[tuple[bytes, bytes]] = []
            if cursor.set_range(after) if after else cursor.first():
                found += cast("Iterator[tuple[bytes, bytes]]", islice(cursor.iternext(), most))
            return found

        return self._run(read, write=False)

    def count(self, table: bytes) -> int:
        """Entries of a table.

        Raises:
            CacheDamaged, CacheUnusable: as `get`.
        """
        return self._run(lambda txn: txn.stat(self._tables[table])["entries"], write=False)

    def version(self) -> tuple[str, int]:
        """Differs from an earlier one if anything was written since."""
        return self._generation, self._opened()[0].info()["last_txnid"]

    def size(self) -> int:
        """Bytes that the environment takes on the disk."""
        return self._data_file().stat().st_size

    def update(self, work: "Callable[[Update], T]") -> T:
        """Do `work` in one transaction, again from its beginning if the map had to grow. Durable on return.

        Raises:
            CacheUnusable: no room. Nothing was written.
            CacheDamaged: the tables are broken.
        """
        done = self._run(lambda txn: work(Update(txn, self._tables)), write=True)
        self._cover()
        return done

    def remap(self) -> None:
        """Give the memory of the pages that were read back to the system, if they may be many.

        Raises:
            CacheReplaced: the generation cannot be opened any more.
        """
        self._reads = 0
        if not self._large:
            return
        self._unmap()
        try:
            self._attach(self._generation, create=False)
        except (lmdb.Error, OSError) as error:
            raise CacheReplaced("the cache was replaced") from error

    def _run(self, work: Callable[[lmdb.Transaction], T], *, write: bool) -> T:
        while True:
            env, doing = self._opened()
            doing[0] = WRITING if write else READING
            try:
                with env.begin(write=write) as txn:
                    return work(txn)
            except lmdb.MapFullError:
                self._grow(env)
            except lmdb.MapResizedError:
                env.set_mapsize(0)
            except lmdb.Error as error:
                raise _translated(error) from error
            finally:
                doing[0] = IDLE

    def _grow(self, env: lmdb.Environment) -> None:
        before = env.info()["map_size"]
        env.set_mapsize(0)  # another process may have been faster
        if env.info()["map_size"] <= before:
            env.set_mapsize(2 * before)

    def _opened(self) -> tuple[lmdb.Environment, mmap]:
        if self._env is None or self._mark is None:
            raise CacheDamaged("the cache is not open")
        return self._env, self._mark.doing

    def _unmap(self) -> None:
        if self._env is not None:
            self._env.close()
        self._env = None
        self._tables = {}

    def _data_file(self) -> Path:
        return self._generations.folder / self._generation / "data.mdb"

    def _attach(self, generation: str, *, create: bool) -> None:
        """Open a generation and see that it fits.

        Raises:
            CacheDamaged: cut short, of something else, or a process died while it read this.
            lmdb.Error, OSError: the system or LMDB refuses.
        """
        self._generation = generation
        folder = self._generations.folder / generation
        if not create and self._data_file().stat().st_size < _PAGES * os.sysconf("SC_PAGE_SIZE"):
            # LMDB would take an empty file for a new one.
            raise CacheDamaged("the cache is cut short")
        if killed_somebody(folder):
            raise CacheDamaged("a process died while it read the cache")
        if self._mark is None:
            self._mark = Mark(folder)
        self._mark.doing[0] = WRITING
        self._env = env = lmdb.open(
            str(folder),
            map_size=MAP_START,
            mode=0o600,
            create=False,
            metasync=False,  # a commit that a power cut takes back is only learnt again
            readahead=False,
            max_readers=READERS,
            max_dbs=len(self._names),
        )
        env.reader_check()
        if create:
            with env.begin(write=True) as txn:
                txn.put(_HEADER, self._header)
        else:
            self._require_fit(env)
        self._tables = {name: env.open_db(name, create=create) for name in self._names}
        self._mark.doing[0] = IDLE

    def _require_fit(self, env: lmdb.Environment) -> None:
        # A page beyond the end of the file would kill the process that reads it.
        size = self._data_file().stat().st_size
        if (env.info()["last_pgno"] + 1) * env.stat()["psize"] > size:
            raise CacheDamaged("the cache is cut short")
        self._large = size >= LARGE
        with env.begin() as txn:
            if txn.get(_HEADER) != self._header:
                raise CacheDamaged("the cache is of another vault or another release")

    def _cover(self) -> None:
        """Let the file reach as far as its last page, also one that LMDB did not have to write."""
        env, _ = self._opened()
        end = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
        self._large = end >= LARGE
        try:
            if self.size() < end:
                with self._data_file().open("r+b") as file:
                    os.posix_fallocate(file.fileno(), end - 1, 1)
        except OSError as error:
            raise unusable(error.strerror) from error


class Update:
    """What a transaction may write."""

    def __init__(self, txn: lmdb.Transaction, tables: dict[bytes, lmdb._Database]) -> None:
        self._txn = txn
        self._tables = tables

    def get(self, table: bytes, key: bytes) -> bytes | None:
        """The value of a key."""
        return cast("bytes | None", self._txn.get(key, None, self._tables[table]))

    def count(self, table: bytes) -> int:
        """Entries of a table."""
        return self._txn.stat(self._tables[table])["entries"]

    def put(self, table: bytes, items: Sequence[tuple[bytes, bytes]], *, append: bool = False) -> int:
        """Add entries; a key that is there keeps its value. With `append` all keys are beyond the last one.

        Returns:
            How many were added.
        """
        cursor = self._txn.cursor(self._tables[table])
        return cursor.putmulti(items, dupdata=False, overwrite=False, append=append)[1]

    def set(self, table: bytes, items: Sequence[tuple[bytes, bytes]]) -> None:
        """Add entries, in the place of those with the same key."""
        self._txn.cursor(self._tables[table]).putmulti(items, dupdata=False, overwrite=True)

    def clear(self, table: bytes) -> None:
        """Remove all entries."""
        self._txn.drop(self._tables[table], delete=False)


def _translated(error: lmdb.Error) -> CacheError:
    return CacheDamaged(str(error)) if isinstance(error, _DAMAGE) else unusable(str(error))
