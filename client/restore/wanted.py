"""What a restore is asked for."""

from dataclasses import dataclass

from crypto.job import ANY, RestoreSpec, SnapshotFilter
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

    def spec(self, requester: bytes, delivery: str, *, in_order: bool = False) -> RestoreSpec:
        """What a command asks for that takes the parcels as they come.

        Args:
            requester: the public key that they are sealed to.
            delivery: URI of the area where they are put.
            in_order: one segment after the other.
        """
        return RestoreSpec(
            self.vault.repo,
            requester,
            self.snapshot,
            self.path,
            self.includes,
            self.excludes,
            delivery,
            self.filter,
            following=True,
            in_order=in_order,
        )
