"""What of a repository its snapshots use, pack by pack: the sums that a prune is decided on. It changes nothing.

Each used chunk counts in one pack, its *home*; where there is a choice, in one that is not going. The order of reading
is what makes it safe beside running backups: snapshots are listed first, then the index, then packs and manifests. So
whatever those snapshots need was stored, and named by the index, before that was listed.

Chunks are sorted, on disk beyond some megabytes (`repository.census`). In memory stay packs and ids of manifests.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from repository import layout, usage
from repository.access import KeyRing, VaultId
from repository.cache.scratch import scratch
from repository.census import IN_MEMORY, Census, Place
from repository.errors import FormatError, ObjectMissing, RepositoryError
from repository.index import Location
from repository.manifest import ManifestRef
from repository.pack import RECORD, read_table
from repository.packlist import GOING, NAMED, PackList
from repository.prunes import Names
from repository.store import ReadStore
from repository.walk import Walk

MOST_TOLD: Final = 20

Alive = Callable[[], None]
Found = tuple[bytes, Location]
"""A chunk's id, and a place where it is."""


class NotCertain(RepositoryError):
    """Something cannot be read, or is missing: what the snapshots need is not known, and nothing may be removed."""


class Subject(NamedTuple):
    """A vault's repository, and a sign of life to be given again and again on a way that may be long."""

    store: ReadStore
    vault: VaultId
    keys: KeyRing
    alive: Alive = lambda: None


class PackUse(NamedTuple):
    """A pack that the index names and the store has. `used` and `total` are sealed bytes of its chunks."""

    number: int
    id: bytes
    size: int
    used: int
    total: int


class Usage:
    """The packs that are there, and how much of each is used.

    Attributes:
        snapshots: how many there are.
        manifests: ids of all manifests that the snapshots need, bases among them.
        stored_packs: all packs in the store.
        stored_manifests: ids of all manifests in the store.
        missing: ids of packs that the index names and the store has not.
        voids: ids of snapshots that must not come about.
    """

    def __init__(self, subject: Subject, census: Census) -> None:
        self._subject = subject
        self._census = census
        self.snapshots = 0
        self.manifests: set[bytes] = set()
        self.stored_packs = PackList()
        self.stored_manifests: set[bytes] = set()
        self.missing: set[bytes] = set()
        self.voids: list[bytes] = []

    def packs(self) -> Iterator[PackUse]:
        """Every pack that the index names."""
        packs = self.stored_packs
        for number, flags in enumerate(packs.flags):
            if flags & NAMED:
                yield PackUse(
                    number, packs[number], packs.sizes[number], packs.used[number], packs.totals[number]
                )

    def orphans(self) -> Iterator[bytes]:
        """Packs in the store that no index object names."""
        packs = self.stored_packs
        return (packs[number] for number, flags in enumerate(packs.flags) if not flags & NAMED)

    def stores(self, pack_id: bytes) -> bool:
        """Whether the pack is there."""
        return self.stored_packs.number_of(pack_id) >= 0

    def uses(self, pack_id: bytes) -> bool:
        """Whether the pack is some used chunk's home."""
        number = self.stored_packs.number_of(pack_id)
        return number >= 0 and self.stored_packs.used[number] > 0

    def size_of(self, pack_id: bytes) -> int:
        """Bytes of a pack that the index names; 0 of others."""
        number = self.stored_packs.number_of(pack_id)
        return self.stored_packs.sizes[number] if number >= 0 else 0

    def homes(self) -> Iterator[tuple[bytes, Place | None]]:
        """Every used chunk's id and home, None if there is no pack that holds it."""
        flags = self.stored_packs.flags
        for chunk in self._census.chunks():
            if next(chunk.uses, None) is not None:
                first = chunk.places[0] if chunk.places else None
                yield chunk.id, next((each for each in chunk.places if not flags[each[0]] & GOING), first)

    def moves(self, packs: Sequence[PackUse]) -> Iterator[tuple[PackUse, list[Found] | None]]:
        """What is used of each of the packs, in the order of places; None if its table does not say where it is.

        Raises:
            StoreError, CacheUnusable: as `survey`.
        """
        at_home: dict[int, set[bytes]] = {pack.number: set() for pack in packs}
        for chunk_id, home in self.homes():
            if home is not None and home[0] in at_home:
                at_home[home[0]].add(chunk_id)
        for pack in packs:
            yield pack, self._found(pack.id, at_home.pop(pack.number))

    def _found(self, pack_id: bytes, chunks: set[bytes]) -> list[Found] | None:
        try:
            table = read_table(*self._subject[:3], pack_id)
        except (FormatError, ObjectMissing):
            return None
        found = [
            (chunk_id, Location(pack_id, table.epoch, offset, sealed, raw, codec))
            for chunk_id, offset, sealed, raw, codec in RECORD.iter_unpack(table.records)
            if chunk_id in chunks
        ]
        return found if len(found) == len(chunks) else None


@contextmanager
def survey(
    subject: Subject, going: frozenset[bytes], folder: Path, in_memory: int = IN_MEMORY
) -> Iterator[Usage]:
    """What the snapshots use.

    Args:
        subject: the repository.
        going: packs that are no chunk's home if there is another.
        folder: where room may be taken on a local disk while the block runs: about 100 bytes a chunk.
        in_memory: bytes to compare before the disk is used.

    Raises:
        NotCertain: a snapshot, a manifest, an index object or a chunk cannot be had.
        StoreError: the store does not answer.
        CacheUnusable: the vault is too large to be looked at in memory, and there is no disk.
    """
    walk = Walk(lambda _: subject.alive())
    with scratch(folder) as room, Census(room, walk, in_memory) as census:
        found = Usage(subject, census)
        _Survey(subject, going, census, walk).look(found)
        yield found


def removable(found: Usage, marked: Names) -> Names:
    """Of what was marked when nothing needed it, that which nothing needs now."""
    packs = frozenset(pack for pack in marked.packs if not found.uses(pack))
    return Names(packs, marked.manifests - found.manifests)


class _Survey:
    """One look, and what was wrong on the way."""

    def __init__(self, subject: Subject, going: frozenset[bytes], census: Census, walk: Walk) -> None:
        self._subject, self._going, self._census, self._walk = subject, going, census, walk
        self._repository = usage.Subject(*subject[:3])
        self._problems: list[str] = []

    def look(self, found: Usage) -> None:
        store, walk, census = self._subject.store, self._walk, self._census
        committed = list(store.list(layout.SNAPSHOTS))
        named = list(store.list(layout.INDEX))
        # After the names of the index objects: the packs that they name are there.
        for pack in self._ids(layout.PACKS, layout.pack_name):
            found.stored_packs.add(pack, GOING if pack in self._going else 0)
        found.stored_manifests.update(self._ids(layout.MANIFESTS, layout.manifest_name))
        self._learn(found, named)
        self._require_certain()
        listed = usage.snapshots(self._repository, committed, self._on_damaged, found.voids.append)
        key_of = usage.Keyed().key_of
        found.snapshots = usage.enter_uses(self._repository, listed, census, walk, key_of, self._on_lost)
        self._require_certain()
        found.manifests.update(census.sorted_manifests())
        used = found.stored_packs.used
        for chunk_id, home in found.homes():
            if home is None:
                self._tell(f"chunk {chunk_id.hex()}: no pack is known to hold it")
            else:
                used[home[0]] += home[1]
        self._require_certain()

    def _learn(self, found: Usage, named: list[str]) -> None:
        packs = found.stored_packs
        for _, summaries in usage.indexed_packs(self._repository, named, self._walk, self._on_damaged):
            for summary in summaries:
                number = packs.number_of(summary.id)
                # A pack that is gone is no chunk's home, whatever an index object says.
                if number < 0:
                    found.missing.add(summary.id)
                elif packs.name(number, summary):
                    self._census.add_sealed_places(number, summary.records)

    def _ids(self, prefix: str, name_of: Callable[[bytes], str]) -> Iterator[bytes]:
        for name in self._subject.store.list(prefix):
            self._subject.alive()
            try:
                object_id = layout.id_of(name)
                if name_of(object_id) != name:
                    raise FormatError("it is not in its place", remedy="remove the stray object")
            except RepositoryError as error:
                self._on_damaged(name, error)
                continue
            yield object_id

    def _on_damaged(self, name: str, error: RepositoryError) -> None:
        self._tell(f"{name}: {error.message}")

    def _on_lost(self, _: int, ref: ManifestRef, error: RepositoryError) -> None:
        self._on_damaged(layout.manifest_name(ref.id), error)

    def _tell(self, problem: str) -> None:
        if len(self._problems) < MOST_TOLD:
            self._problems.append(problem)

    def _require_certain(self) -> None:
        if self._problems:
            told = "; ".join(self._problems)
            raise NotCertain(
                f"what the snapshots need is not certain, so that nothing is removed: {told}",
                remedy="run `strongroom check`; forget the snapshots that are damaged, by their ids",
            )
