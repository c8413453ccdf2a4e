"""What of a repository its snapshots use, pack by pack: the sums that a prune is decided on. It changes nothing.

Each used chunk counts in one pack, its *home*; where there is a choice, in one that is not going. The order of reading
is what makes it safe beside running backups: snapshots first, then the index, then the listings. So whatever the
snapshots need was stored, and named by the index, before that was read.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from repository import layout
from repository.access import KeyRing, VaultId
from repository.catalog import manifests_ahead, read_manifest, read_snapshots
from repository.errors import FormatError, ObjectMissing, RepositoryError
from repository.index import Index, Location, read_index
from repository.manifest import ManifestRef, PackSummary
from repository.pack import RECORD
from repository.patch import used_chunks
from repository.prunes import Names
from repository.store import ReadStore

MOST_TOLD: Final = 20

Alive = Callable[[], None]


class NotCertain(RepositoryError):
    """Something cannot be read, or is missing: what the snapshots need is not known, and nothing may be removed."""


class Subject(NamedTuple):
    """A vault's repository, and a sign of life to be given again and again on a way that may be long."""

    store: ReadStore
    vault: VaultId
    keys: KeyRing
    alive: Alive = lambda: None


class PackUse(NamedTuple):
    """A pack that the index names and the store has; its first record has the number `first`.

    `used` and `total` are sealed bytes of its chunks.
    """

    number: int
    first: int
    id: bytes
    size: int
    used: int
    total: int


@dataclass
class Usage:
    """The index of the packs that are there, and which of its chunks are used.

    Attributes:
        index: each pack once.
        snapshots: how many there are.
        manifests: ids of all manifests that the snapshots need, bases among them.
        stored_packs: ids of all packs in the store.
        stored_manifests: ids of all manifests in the store.
        missing: ids of packs that the index names and the store has not.
        voids: ids of snapshots that must not come about.
    """

    index: Index = field(default_factory=Index)
    snapshots: int = 0
    manifests: set[bytes] = field(default_factory=set)
    stored_packs: set[bytes] = field(default_factory=set)
    stored_manifests: set[bytes] = field(default_factory=set)
    missing: set[bytes] = field(default_factory=set)
    voids: list[bytes] = field(default_factory=list)
    _used: bytearray = field(default_factory=bytearray)
    _packs: list[PackUse] | None = None

    def packs(self) -> list[PackUse]:
        """Every pack that the index names; asked for once all that is used is known."""
        if self._packs is None:
            self._packs = list(self._sums())
        return self._packs

    def _sums(self) -> Iterator[PackUse]:
        for number, pack in enumerate(self.index.packs()):
            used = total = 0
            records = self.index.table_of(number).records
            for place, (_, _, sealed, _, _) in enumerate(RECORD.iter_unpack(records), pack.first):
                total += sealed
                used += sealed * self._used[place]
            yield PackUse(number, pack.first, pack.id, pack.size, used, total)

    def orphans(self) -> set[bytes]:
        """Packs in the store that no index object names."""
        return {pack for pack in self.stored_packs if not self.index.knows_pack(pack)}

    def used_of(self, pack: PackUse) -> list[tuple[bytes, Location]]:
        """The used chunks of a pack, in the order of their places."""
        summary = self.index.table_of(pack.number)
        return [
            (chunk_id, Location(summary.id, summary.epoch, offset, sealed, raw, codec))
            for place, (chunk_id, offset, sealed, raw, codec) in enumerate(
                RECORD.iter_unpack(summary.records), pack.first
            )
            if self._used[place]
        ]

    def use(self, chunk_id: bytes) -> bool:
        """Take note that a chunk is used; False if it is in no pack."""
        number = self.index.number_of(chunk_id)
        if number < 0:
            return False
        self._used[number] = 1
        return True

    def settle(self) -> None:
        """The index is complete."""
        self._used = bytearray(len(self.index))


def survey(subject: Subject, going: frozenset[bytes]) -> Usage:
    """What the snapshots use.

    Args:
        subject: the repository.
        going: packs that are no chunk's home if there is another.

    Raises:
        NotCertain: a snapshot, a manifest, an index object or a chunk cannot be had.
        StoreError: the store does not answer.
    """
    store, vault, keys, alive = subject
    problems: list[str] = []

    def on_damaged(name: str, error: RepositoryError) -> None:
        problems.append(f"{name}: {error.message}")

    usage = Usage()
    snapshots = read_snapshots(store, vault, keys, on_damaged, usage.voids.append)
    usage.snapshots = len(snapshots)
    refs = list(dict.fromkeys(ref for snapshot in snapshots for ref in snapshot.manifests))
    alive()
    named = list(store.list(layout.INDEX))
    # After the names of the index objects: the packs that they name are there.
    usage.stored_packs = _ids(subject, layout.PACKS, layout.pack_name, problems)
    usage.stored_manifests = _ids(subject, layout.MANIFESTS, layout.manifest_name, problems)
    _learn(usage, subject, named, going, problems)
    _require_certain(problems)
    with manifests_ahead(store, refs) as ahead:
        for ref in refs:
            _use(usage, subject._replace(store=ahead), ref, problems)
            alive()
            _require_certain(problems)
    return usage


def used_packs(usage: Usage) -> frozenset[bytes]:
    """Ids of the packs that are some used chunk's home."""
    return frozenset(pack.id for pack in usage.packs() if pack.used)


def removable(usage: Usage, marked: Names) -> Names:
    """Of what was marked when nothing needed it, that which nothing needs now."""
    return Names(marked.packs - used_packs(usage), marked.manifests - usage.manifests)


def _learn(
    usage: Usage, subject: Subject, named: Iterable[str], going: frozenset[bytes], problems: list[str]
) -> None:
    late: dict[bytes, PackSummary] = {}
    for name in named:
        try:
            for summary in read_index(subject.store, subject.vault, subject.keys, layout.id_of(name)):
                # A pack that is gone is no chunk's home, whatever an index object says.
                if summary.id not in usage.stored_packs:
                    usage.missing.add(summary.id)
                elif summary.id in going:
                    late[summary.id] = summary
                elif not usage.index.knows_pack(summary.id):
                    usage.index.learn(summary)
        except (FormatError, ObjectMissing) as error:
            problems.append(f"{name}: {error.message}")
        subject.alive()
    for summary in late.values():
        usage.index.learn(summary)
    usage.settle()


def _use(usage: Usage, subject: Subject, ref: ManifestRef, problems: list[str]) -> None:
    usage.manifests.update((ref.id, *ref.bases))
    try:
        manifest = read_manifest(subject.store, subject.vault, subject.keys, ref)
    except (FormatError, ObjectMissing) as error:
        problems.append(f"{layout.manifest_name(ref.id)}: {error.message}")
        return
    problems += [
        f"chunk {chunk_id.hex()}: no pack is known to hold it"
        for chunk_id in used_chunks(manifest)
        if not usage.use(chunk_id)
    ]


def _ids(subject: Subject, prefix: str, name_of: Callable[[bytes], str], problems: list[str]) -> set[bytes]:
    found = set()
    for name in subject.store.list(prefix):
        subject.alive()
        try:
            object_id = layout.id_of(name)
            if name_of(object_id) != name:
                raise FormatError("it is not in its place", remedy="remove the stray object")
        except RepositoryError as error:
            problems.append(f"{name}: {error.message}")
            continue
        found.add(object_id)
    return found


def _require_certain(problems: list[str]) -> None:
    if problems:
        told = "; ".join(problems[:MOST_TOLD])
        raise NotCertain(
            f"what the snapshots need is not certain, so that nothing is removed: {told}",
            remedy="run `strongroom check`; forget the snapshots that are damaged, by their ids",
        )
