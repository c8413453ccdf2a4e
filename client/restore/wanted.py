"""What a restore is asked for."""

from dataclasses import dataclass

from crypto.job import ANY, SnapshotFilter
from crypto.registry import VaultEntry


@dataclass(frozen=True)
class Wanted:
    """A snapshot (id, prefix, or `latest` among those of a filter), or what lies below `path` in it; and patterns."""

    vault: VaultEntry
    snapshot: str
    path: bytes
    includes: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    filter: SnapshotFilter = ANY
