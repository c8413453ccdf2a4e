"""Every error of the repository, as one tree.

RepositoryError
├── StoreError              the object store refused or failed
│   ├── ObjectMissing       no object of that name
│   │   └── SnapshotVoid    nor will there be one: its job is over
│   ├── ObjectExists        a conditional create found the name taken
│   ├── InvalidName         a name outside the layout
│   ├── StoreMissing        there is no store where the URI says, or it is in another region
│   ├── StoreDenied         the store does not let us
│   ├── StoreFull           no room left
│   ├── StoreUnsupported    the store cannot do what a repository needs
│   └── StoreUnreachable    try again: see repository.retry
├── FormatError             the object is there, but is not to be trusted
│   ├── UnknownFormat       written by another version, or not by Strongroom
│   ├── VaultMismatch       belongs to another tenant or vault
│   ├── WrongObject         a genuine object under another object's name
│   ├── ObjectDamaged       truncated, altered, or outside the rules of its kind
│   └── ChunkDamaged        one chunk in a pack; the others may be fine
├── ChunkMissing            no index names the chunk
├── CacheError              what this host remembers of a repository is of no use; nothing is lost
│   ├── CacheDamaged        to be made again
│   │   └── CacheReplaced   another process has made it again
│   └── CacheUnusable       no room, or not ours: to be done without
├── IndexTooLarge           more chunks than a process may hold in memory
└── TooLarge                asked to write more than a reader would accept
"""

from config.errors import StrongroomError


class RepositoryError(StrongroomError):
    """The root of the tree above."""


class StoreError(RepositoryError):
    """The object store refused or failed; permanent unless it is a StoreUnreachable."""


class ObjectMissing(StoreError):
    """The store has no object of that name."""


class SnapshotVoid(ObjectMissing):
    """A void is in the place of a snapshot: its job ended without one, and a prune sees to it that it stays so."""


class ObjectExists(StoreError):
    """The name is taken: objects are created once and never overwritten."""


class InvalidName(StoreError):
    """The name is not one that the layout can produce."""


class StoreMissing(StoreError):
    """There is no store where the URI says (or its bucket is in another region); somebody has to act."""


class StoreDenied(StoreError):
    """The store does not allow the operation."""


class StoreFull(StoreError):
    """The store has no room left."""


class StoreUnsupported(StoreError):
    """The store, or this release, cannot do what was asked."""


class StoreUnreachable(StoreError):
    """The store did not answer in a usable way; the same call may succeed later."""


class FormatError(RepositoryError):
    """An object is there, but must not be used."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy or "see what else is wrong with `strongroom check`")


class UnknownFormat(FormatError):
    """The object's header names a version, suite or kind that this release does not know."""


class VaultMismatch(FormatError):
    """The object belongs to another tenant or another vault."""


class WrongObject(FormatError):
    """The object's header names another kind, id or epoch than the one asked for."""


class ObjectDamaged(FormatError):
    """The object is truncated, altered, or breaks a rule of its kind."""


class ChunkDamaged(FormatError):
    """One chunk of a pack cannot be opened.

    Args:
        message: what is wrong.
        chunk_id: 32 bytes, the chunk asked for.
        pack_id: 16 bytes, the pack that holds it.
        remedy: what to do about it.
    """

    def __init__(self, message: str, *, chunk_id: bytes, pack_id: bytes, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.chunk_id = chunk_id
        self.pack_id = pack_id


class ChunkMissing(RepositoryError):
    """No index object names the chunk."""

    def __init__(self, message: str, *, chunk_id: bytes, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.chunk_id = chunk_id


class CacheError(RepositoryError):
    """What this host remembers of a repository is of no use now; the repository has all of it."""


class CacheDamaged(CacheError):
    """The cache is cut short, altered, or of something else: discard it and make it again."""


class CacheReplaced(CacheDamaged):
    """Another process has made the cache anew; what counts now is there to be opened."""


class CacheUnusable(CacheError):
    """The system refuses the cache: no room, no right, too many readers."""


class IndexTooLarge(RepositoryError):
    """The index is more than a process may hold in memory, and there is no cache to hold it."""


class TooLarge(RepositoryError):
    """The object to be written breaks a limit that every reader enforces."""
