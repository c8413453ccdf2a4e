"""What a repository needs of an object store, in three capabilities: read, write once, prune.

A restore worker is handed a ReadStore, a backup worker a WriteStore; only maintenance gets to delete.
Names are relative, lower-case, separated by `/` (`repository.layout`). Every store passes the contract suite
in `tests/repository/test_store_contract.py`.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from typing_extensions import Buffer

from repository.errors import InvalidName, ObjectDamaged

MAX_NAME = 200
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*(/[a-z0-9][a-z0-9-]*)*")
NO_SIZE: Final = -1
"""In a list of sizes, that of what is no object."""


class Version(NamedTuple):
    """A version of an object, or a delete marker.

    Attributes:
        name: of the object.
        time_s: when it was written, seconds since 1970 as the store counts them.
        size: bytes; -1 of a delete marker.
        latest: whether it is what a reader of that name sees.
    """

    name: str
    time_s: float
    size: int
    latest: bool


class ReadStore(Protocol):
    """Reading. All methods raise StoreError or a subclass of it."""

    def get(self, name: str, limit: int) -> bytes:
        """The whole object, at most `limit` bytes.

        Raises:
            ObjectMissing: no such object.
            ObjectDamaged: it is larger than `limit`.
        """
        ...

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`.

        Raises:
            ObjectMissing: no such object.
            ObjectDamaged: the object ends before offset + length.
        """
        ...

    def read_into(self, name: str, offset: int, out: memoryview) -> None:
        """Fill all of `out` from `offset`, without a copy in between.

        Raises:
            ObjectMissing: no such object.
            ObjectDamaged: the object ends before `out` is full.
        """
        ...

    def size(self, name: str) -> int:
        """Bytes in the object.

        Raises:
            ObjectMissing: no such object.
        """
        ...

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        """Names below `prefix` ("" or ending in "/") in ascending order; unfinished uploads never show.

        Millions of them are no trouble: they are asked for as they are taken.

        Args:
            prefix: the folder.
            after: a name that a listing gave: only greater ones, to go on where it broke off.
        """
        ...

    def sizes(self, prefix: str, after: str = "") -> Iterator[tuple[str, int]]:
        """The same names, each with the bytes in the object, as the store lists them.

        NO_SIZE is that of what is listed and is no object, or is one no more; `size` says why.
        """
        ...

    def versions(self, prefix: str) -> Sequence[Version]:
        """All versions and delete markers below `prefix`, in no order; nothing where no versions are kept.

        Raises:
            StoreDenied: whoever reads may not list versions.
        """
        ...


class WriteStore(ReadStore, Protocol):
    """Reading and creating."""

    def put(self, name: str, parts: Sequence[Buffer]) -> None:
        """Create the object from the joined parts: atomic, and durable when this returns.

        Raises:
            ObjectExists: the name is taken, whatever it holds.
            StoreFull: no room; nothing is left under the name.
        """
        ...


class PruneStore(WriteStore, Protocol):
    """Reading, creating and removing."""

    def delete(self, name: str) -> None:
        """Remove the object; one that is already gone is no error."""
        ...

    def extend(self, name: str) -> bool:
        """Lock an object that is still referenced for the vault's whole retention from now on.

        Returns:
            Whether anything was done: not without a lock, nor when most of the retention is still ahead.

        Raises:
            ObjectMissing: no such object.
        """
        ...

    def sweep(self, older_than_s: float) -> int:
        """Remove what uploads that died more than `older_than_s` seconds ago left behind; returns how many."""
        ...


def check_name(name: str) -> None:
    """Refuse every name that could leave the repository or hide in it.

    Raises:
        InvalidName: always with the offending name.
    """
    if len(name) > MAX_NAME or _NAME.fullmatch(name) is None:
        raise InvalidName(f"{name[:MAX_NAME]!r} is not an object name")


def check_prefix(prefix: str) -> None:
    """Refuse a listing prefix that is neither empty nor a folder.

    Raises:
        InvalidName: the prefix does not end in "/" or is no name before it.
    """
    if prefix and not prefix.endswith("/"):
        raise InvalidName(f"{prefix[:MAX_NAME]!r} is not a folder prefix")
    if prefix:
        check_name(prefix[:-1])


def check_within(name: str, offset: int, length: int, size: int) -> None:
    """Refuse a range that is not inside an object of `size` bytes.

    Raises:
        ObjectDamaged: it is not; whoever asks has learnt of the range from an object that it trusts.
    """
    if offset < 0 or length < 0 or offset + length > size:
        raise ObjectDamaged(f"{name} ends at byte {size}, but bytes {offset} to {offset + length} are due")
