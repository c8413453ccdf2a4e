"""The indexes of the vaults that a worker process last worked on, each a copy that the host's processes share."""

from pathlib import Path
from typing import Final

from config.home import Home
from repository.access import VaultId
from repository.cache.index import HostIndex

OPEN: Final = 4
"""Vaults whose index a process keeps open."""


def cache_folder(home: Home, role: str, vault: VaultId) -> Path:
    """Where the processes of one role remember what they need of one vault; no other role looks there."""
    return home.cache / role / vault.vault.hex()


class HostIndexes:
    """Opens indexes when they are first asked for, which is after the fork.

    Args:
        home: of the installation.
        role: of the process.
    """

    def __init__(self, home: Home, role: str) -> None:
        self._home = home
        self._role = role
        self._open: dict[VaultId, HostIndex] = {}

    def of(self, vault: VaultId) -> HostIndex:
        """The index of a vault, as it was last refreshed."""
        found = self._open.pop(vault, None)
        if found is None:
            while len(self._open) >= OPEN:
                self._open.pop(next(iter(self._open))).close()
            found = HostIndex(cache_folder(self._home, self._role, vault) / "chunks", vault)
        # The one that is used last is at the end.
        self._open[vault] = found
        return found
