"""What a worker process has open of the copies that its host keeps of repositories: indexes, and tables of files."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

from config.home import Home
from repository.access import VaultId
from repository.cache.files import FileTable
from repository.cache.index import HostIndex

OPEN: Final = 4
"""Vaults of which a process keeps a copy open."""
LOOK_EVERY_S: Final = 30.0
"""The segments of a job do not each list the index objects. A backup may store twice what another adds meanwhile."""


class Closable(Protocol):
    """Something that holds files and memory."""

    def close(self) -> None:
        """Give them back."""
        ...


T = TypeVar("T", bound=Closable)


class Recent(Generic[T]):
    """One thing for each of the vaults that were used last; opened when it is first asked for, after the fork.

    Args:
        make: opens that of a vault.
    """

    def __init__(self, make: Callable[[VaultId], T]) -> None:
        self._make = make
        self._open: dict[VaultId, T] = {}

    def of(self, vault: VaultId) -> T:
        """That of a vault."""
        found = self._open.pop(vault, None)
        if found is None:
            while len(self._open) >= OPEN:
                self._open.pop(next(iter(self._open))).close()
            found = self._make(vault)
        # The one that is used last is at the end.
        self._open[vault] = found
        return found

    def close(self) -> None:
        """Close what is open."""
        while self._open:
            self._open.popitem()[1].close()


class LastLook:
    """When a process looked for new index objects, and for which job."""

    def __init__(self) -> None:
        self._job = b""
        self._at = -math.inf

    def was_for(self, job: bytes) -> bool:
        """Whether it was for this job."""
        return self._job == job

    def is_due(self, job: bytes) -> bool:
        """Whether to look again: another job has come, or it was a while ago."""
        return self._job != job or time.monotonic() - self._at >= LOOK_EVERY_S

    def done(self, job: bytes) -> None:
        """It has looked just now."""
        self._job, self._at = job, time.monotonic()


def cache_folder(home: Home, role: str, vault: VaultId) -> Path:
    """Where the processes of one role remember what they need of one vault; no other role looks there."""
    return home.cache / role / vault.vault.hex()


def host_indexes(home: Home, role: str) -> Recent[HostIndex]:
    """The indexes of the role's vaults."""
    return Recent(lambda vault: HostIndex(cache_folder(home, role, vault) / "chunks", vault))


def file_tables(home: Home, role: str) -> Recent[FileTable]:
    """The tables of the files that the role has stored."""
    return Recent(lambda vault: FileTable(cache_folder(home, role, vault) / "files", vault))
