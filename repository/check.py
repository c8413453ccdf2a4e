"""Is everything there that the snapshots need, and is it what it should be?

`check` reads all metadata and compares them with each other and with the listing; with `read_data` it also
opens the chunks and computes their ids again, which finds even wrong content sealed by a holder of the key. It
changes nothing, and believes nothing but what is in the repository: no cache is asked.
"""

from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

from crypto.job import Subset
from crypto.keyrecord import CHUNK_ID as CHUNK_ID_PURPOSE
from crypto.keyrecord import DEK
from repository import layout
from repository.cache.scratch import scratch
from repository.census import CHOSEN, IN_MEMORY, MISSING, OTHER_SIZE, REPEATED, USED, Census
from repository.damage import Damage, lose, name_losses
from repository.errors import FormatError, ObjectDamaged, ObjectMissing, RepositoryError
from repository.findings import Findings, Loss, Problem
from repository.hidden import NOTHING_HIDDEN, TOLD_FOR_S, Hidden, hidden_snapshots
from repository.prunes import swept_packs
from repository.readdata import PackReader, ReadCounts
from repository.sampling import choose
from repository.store import NO_SIZE
from repository.usage import Keyed, NotedKeys, Subject, enter_uses, indexed_packs, snapshots
from repository.vault import FIRST_EPOCH, epochs, read_config, read_key_record
from repository.walk import Progress, Walk, common


class Reading(NamedTuple):
    """What of the data a check reads.

    Attributes:
        data: any of it.
        subset: which packs; None for all.
    """

    data: bool = False
    subset: Subset | None = None


STRUCTURE: Final = Reading()
EVERYTHING: Final = Reading(data=True)


class CheckReport(NamedTuple):
    """What was found. What is unused is not wrong: a running job may need it, or `prune` removes it.

    Nor is a snapshot that is hidden, unless it was not forgotten and is newer than all others.

    Attributes:
        problems: those that are named; `found` counts them all.
        losses: snapshots that can be opened, and of which not everything can be restored.
        snapshots, damaged_snapshots: that can be opened, and that cannot.
        packs, pack_bytes: below packs/.
        chunks: that snapshots use.
        packs_read, bytes_read, chunks_read: the data that were read; of the chunks only good ones count.
    """

    problems: list[Problem]
    losses: list[Loss]
    found: int
    snapshots: int
    damaged_snapshots: int
    manifests: int
    index_objects: int
    packs: int
    pack_bytes: int
    chunks: int
    packs_read: int
    bytes_read: int
    chunks_read: int
    unused_packs: int
    unused_bytes: int
    unused_chunks: int
    unused_manifests: int
    hidden: Hidden = NOTHING_HIDDEN


class _Stored(NamedTuple):
    """Everything below packs/: number and bytes."""

    packs: int = 0
    bytes: int = 0
    unnamed_packs: int = 0
    """That no index object names."""
    unnamed_bytes: int = 0


class _Compared(NamedTuple):
    """Chunks that snapshots use, and that packs hold for nobody."""

    used: int
    unused: int


def check(
    subject: Subject,
    folder: Path,
    reading: Reading = STRUCTURE,
    progress: Progress | None = None,
    *,
    in_memory: int = IN_MEMORY,
    told_for_s: float = TOLD_FOR_S,
) -> CheckReport:
    """Check a whole repository.

    Args:
        folder: where room may be taken on a local disk meanwhile: about 100 bytes a chunk.
        progress: told how far it is, all the time.
        in_memory: bytes to compare before the disk is used.
        told_for_s: see `hidden_snapshots`.

    Raises:
        StoreError: the store does not answer, so that nothing can be said.
        CacheUnusable: the vault is too large to be checked in memory, and there is no disk.
        StrongroomError: a key that is needed is refused.
    """
    walk = Walk(progress)
    with scratch(folder) as room, Census(room, walk, in_memory) as census:
        found = _Check(subject, census, walk)
        return found.run(reading, told_for_s)


class _Check:
    """One check."""

    def __init__(self, subject: Subject, census: Census, walk: Walk) -> None:
        self._keys = NotedKeys(subject.keys)
        self._subject = subject._replace(keys=self._keys)
        self._census = census
        self._walk = walk
        self._findings = Findings()
        self._damage = Damage(census.packs, self._findings)
        self._key_of = Keyed().key_of
        self._sweeps: list[tuple[str, frozenset[bytes]]] = []
        self._closed = 0

    def run(self, reading: Reading, told_for_s: float) -> CheckReport:
        store, findings, walk = self._subject.store, self._findings, self._walk
        self._check_vault()
        hidden = hidden_snapshots(self._subject, told_for_s, self._on_damaged)
        for name in hidden.newest:
            findings.add(
                name,
                "it is hidden by a delete marker, not by `forget`, and no snapshot that is left is newer",
            )
        # Sweeps before snapshots: what is listed after a sweep was written needs nothing of it.
        for swept in swept_packs(*self._subject, self._on_damaged):
            self._sweeps.append(swept)
            walk.alive()
        # Snapshots first: what those of them need was there before they were, whatever is stored meanwhile.
        committed = list(store.list(layout.SNAPSHOTS))
        objects = list(store.list(layout.INDEX))
        walk.expect(len(committed) + len(objects))
        self._learn_index(objects, places=not reading.data)
        stored = self._look_at_packs()
        read = self._read_data(objects, reading.subset) if reading.data else ReadCounts()
        found = snapshots(self._subject, committed, self._on_closed)
        on_lost = partial(lose, self._subject, self._damage)
        good = enter_uses(self._subject, found, self._census, walk, self._key_of, on_lost)
        self._check_deks()
        compared = self._compare()
        name_losses(self._subject, committed, self._damage, self._key_of, walk)
        report = self._report(stored, read, good, compared, len(objects))
        return report._replace(hidden=hidden)

    def _report(
        self, stored: _Stored, read: ReadCounts, good: int, compared: _Compared, objects: int
    ) -> CheckReport:
        packs = self._census.packs
        manifests, unused_manifests = self._count_manifests()
        unused = [
            size
            for size, mark in zip(packs.sizes, packs.marks, strict=True)
            if not mark & (USED | MISSING | REPEATED)
        ]
        return CheckReport(
            problems=self._findings.problems(),
            losses=self._findings.losses(),
            found=len(self._findings),
            snapshots=good,
            damaged_snapshots=self._closed,
            manifests=manifests,
            index_objects=objects,
            packs=stored.packs,
            pack_bytes=stored.bytes,
            chunks=compared.used,
            packs_read=read.packs,
            bytes_read=read.bytes,
            chunks_read=read.chunks,
            unused_packs=len(unused) + stored.unnamed_packs,
            unused_bytes=sum(unused) + stored.unnamed_bytes,
            unused_chunks=compared.unused,
            unused_manifests=unused_manifests,
        )

    def _check_vault(self) -> None:
        try:
            read_config(*self._subject)
        except RepositoryError as error:
            self._findings.add(layout.CONFIG, error.message)
        self._check_key(CHUNK_ID_PURPOSE, 0, layout.CHUNK_ID_KEY)

    def _check_deks(self) -> None:
        """The wrapped keys of all epochs that are listed or that anything is sealed in, whatever a cache holds."""
        sealed = self._keys.epochs | self._census.packs.epochs
        for epoch in sorted({FIRST_EPOCH, *sealed, *epochs(self._subject.store)}):
            self._check_key(DEK, epoch, layout.dek_name(epoch))

    def _check_key(self, purpose: str, epoch: int, name: str) -> None:
        try:
            read_key_record(self._subject.store, self._subject.vault, purpose, epoch)
        except RepositoryError as error:
            self._findings.add(name, error.message)

    def _on_damaged(self, name: str, error: RepositoryError) -> None:
        self._findings.add(name, error.message)

    def _on_closed(self, name: str, error: RepositoryError) -> None:
        self._closed += 1
        self._on_damaged(name, error)

    def _learn_index(self, objects: list[str], *, places: bool) -> None:
        census = self._census
        for _, packs in indexed_packs(self._subject, objects, self._walk, self._on_damaged):
            for summary in packs:
                number = census.add_pack(summary)
                for name, swept in self._sweeps:
                    if summary.id in swept:
                        self._damage.strike(number, name)
                if places:
                    census.add_places(number, summary.records, {})

    def _look_at_packs(self) -> _Stored:
        """Hold the listing against what the index says: each pack is there, in its size."""
        indexed = self._census.sorted_packs()
        marks = self._census.packs.marks
        self._walk.expect(len(marks))
        total = _Stored()
        awaited = next(indexed, None)
        for name, pack_id, size in self._listed_packs():
            while awaited is not None and layout.pack_name(awaited[0]) < name:
                self._miss(awaited[1])
                awaited = next(indexed, None)
            named = awaited is not None and awaited[0] == pack_id
            if awaited is not None and named:
                self._compare_size(name, awaited[1], size)
                awaited = next(indexed, None)
            total = _Stored(
                total.packs + 1,
                total.bytes + size,
                total.unnamed_packs + (not named),
                total.unnamed_bytes + (0 if named else size),
            )
        while awaited is not None:
            self._miss(awaited[1])
            awaited = next(indexed, None)
        return total

    def _listed_packs(self) -> Iterator[tuple[str, bytes, int]]:
        """Name, id and size of everything below packs/ that can be a pack."""
        store = self._subject.store
        for name, listed in store.sizes(layout.PACKS):
            self._walk.did()
            try:
                pack_id = layout.id_of(name)
                if len(pack_id) != layout.ID or layout.pack_name(pack_id) != name:
                    raise FormatError("the pack is not in its folder")
                size = store.size(name) if listed == NO_SIZE else listed
            except (FormatError, ObjectMissing) as error:
                self._findings.add(name, error.message)
                continue
            yield name, pack_id, size

    def _miss(self, numbers: list[int]) -> None:
        packs = self._census.packs
        for number in numbers:
            packs.marks[number] |= MISSING
        self._findings.add(*self._damage.of_pack(numbers[0]))

    def _compare_size(self, name: str, numbers: list[int], size: int) -> None:
        packs = self._census.packs
        for number in numbers:
            if packs.sizes[number] != size:
                packs.marks[number] |= OTHER_SIZE
                self._damage.found_size(number, size)
                self._findings.add(*self._damage.of_pack(number))
        for number in numbers[1:]:
            packs.marks[number] |= REPEATED

    def _read_data(self, objects: list[str], subset: Subset | None) -> ReadCounts:
        """Read the packs that are chosen, and enter where all chunks are, with the flaws of those that were read."""
        census, first = self._census, 0
        count, total = choose(census.packs, subset)
        self._walk.expect(count + len(objects), total)
        reader = PackReader(self._subject, self._findings, self._walk)
        for _, packs in indexed_packs(self._subject, objects, self._walk, self._on_damaged):
            for number, summary in enumerate(packs, first):
                if number >= len(census.packs) or census.packs.id_of(number) != summary.id:
                    raise ObjectDamaged("the index objects were replaced while they were read")
                flaws = reader.read(summary) if census.packs.marks[number] & CHOSEN else {}
                census.add_places(number, summary.records, flaws)
            first += len(packs)
        return reader.counts

    def _compare(self) -> _Compared:
        """Hold the chunks that are used against those that are there."""
        marks, damage = self._census.packs.marks, self._damage
        used = unused = 0
        for chunk in self._census.chunks():
            first = next(chunk.uses, None)
            if first is None:
                unused += 1
                continue
            used += 1
            for number, _, _ in chunk.places:
                marks[number] |= USED
            damage.judge(chunk._replace(uses=chain((first,), chunk.uses)))
        return _Compared(used, unused)

    def _count_manifests(self) -> tuple[int, int]:
        """Manifests that are needed, bases among them, and others that are stored."""
        needed = sum(1 for _ in self._census.sorted_manifests())
        there = sum(1 for _ in self._subject.store.list(layout.MANIFESTS))
        names = map(layout.manifest_name, self._census.sorted_manifests())
        good = sum(1 for _ in common(self._subject.store.list(layout.MANIFESTS), names))
        return needed, there - good
