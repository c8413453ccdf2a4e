"""What a restore is asked for."""

from dataclasses import dataclass

from crypto.registry import VaultEntry


@dataclass(frozen=True)
class Wanted:
    """A snapshot (id, prefix or `latest`), or what lies below `path` in it, and the patterns that choose."""

    vault: VaultEntry
    snapshot: str
    path: bytes
    includes: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
