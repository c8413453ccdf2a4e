"""Which chunks that snapshots use cannot be had, why, and which files of which snapshots that costs."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from repository import layout
from repository.catalog import manifest_chain, read_manifest
from repository.census import MISSING, OTHER_SIZE, SWEPT, Chunk, PackTable, Place
from repository.errors import FormatError, ObjectMissing, RepositoryError
from repository.findings import Findings, Touched
from repository.manifest import Manifest, ManifestRef, Snapshot
from repository.usage import Subject, chunk_at, snapshots
from repository.walk import Walk

DOES_NOT_OPEN: Final = 1
DOES_NOT_UNPACK: Final = 2
OTHER_CONTENT: Final = 3
OTHER_LENGTH: Final = 4
NO_PACK: Final = 5
TEXTS: Final = (
    "",
    "a chunk does not open",
    "a chunk is not compressed as its table says",
    "a chunk does not hold what its id says",
    "the index and a manifest differ about the length of a chunk",
    "no pack is known to hold it",
)
"""What is wrong with a chunk, by flaw."""

REMOVED: Final = "a prune removed it"
"""What the text begins with of a pack that snapshots need and that a restore takes for gone."""

MAX_FLAWED: Final = 100_000
"""Chunks of manifests that are remembered one by one: of manifests beyond, all files count as lost."""
MAX_NAMED: Final = 50_000
"""Paths that are held in memory to be named."""

_Blame = tuple[int, int]
"""Number of the pack, or -1, and the flaw; 0 is that of the pack as a whole."""


class _Flaw(NamedTuple):
    object: str
    text: str
    first: bytes
    last: bytes


class _Cost(NamedTuple):
    """What a manifest's damage keeps from being restored."""

    flaws: list[_Flaw]
    files: int


class Damage:
    """What is wrong, by the keys of the manifests that it touches.

    Args:
        packs: with marks.
        findings: told of each problem.
    """

    def __init__(self, packs: PackTable, findings: Findings) -> None:
        self._packs = packs
        self.findings = findings
        self._sizes: dict[int, int] = {}
        self._sweeps: dict[int, str] = {}
        self._flawed: dict[int, dict[bytes, _Blame]] = {}
        self._count = 0
        self.lost: dict[int, tuple[str, str]] = {}
        """Object to blame and text, of manifests that cannot be read."""

    def __contains__(self, key: int) -> bool:
        return key in self._flawed or key in self.lost

    def __bool__(self) -> bool:
        return bool(self._flawed or self.lost)

    def found_size(self, number: int, size: int) -> None:
        """A pack has another size than the index says."""
        self._sizes[number] = size

    def strike(self, number: int, sweep: str) -> None:
        """A sweep names the pack as removed."""
        self._packs.marks[number] |= SWEPT
        self._sweeps[number] = sweep

    def of_pack(self, number: int) -> tuple[str, str]:
        """The name of a pack that is marked, and what is wrong with it."""
        name = layout.pack_name(self._packs.id_of(number))
        if self._packs.marks[number] & MISSING:
            return name, "the pack is missing"
        if self._packs.marks[number] & SWEPT:
            return name, f"{REMOVED}; what was brought back is not used: {self._sweeps[number]} names it"
        return (
            name,
            f"the pack has {self._sizes[number]} bytes, but the index says {self._packs.sizes[number]}",
        )

    def judge(self, chunk: Chunk) -> None:
        """Remember what is wrong with a chunk that is used.

        One that is in several packs is lost if it is flawed in all of them: a restore looks into the others.
        """
        blame, whole = self._blame(chunk)
        if blame is not None and whole:
            self.findings.add(*self._words(chunk.id, blame))
            blame = None
        for key, length in chunk.uses:
            wrong = blame or next(
                ((number, OTHER_LENGTH) for number, raw, _ in chunk.places if raw != length), None
            )
            if wrong is not None:
                self.findings.add(*self._words(chunk.id, wrong))
                self._remember(key, chunk.id, wrong)

    def _blame(self, chunk: Chunk) -> tuple[_Blame | None, bool]:
        """What is wrong with the chunk in the first pack where anything is, and whether it is whole in another."""
        if not chunk.places:
            return (-1, NO_PACK), False
        # As a restore does. A pack that is going while its chunks are in another one already is no damage.
        places = [each for each in chunk.places if not self._packs.marks[each[0]] & SWEPT] or chunk.places
        blames = list(self._flaws(places))
        return (blames[0] if blames else None), len(blames) < len(places)

    def _flaws(self, places: list[Place]) -> Iterator[_Blame]:
        for number, _, flaw in places:
            if self._packs.marks[number] & (MISSING | OTHER_SIZE | SWEPT):
                yield number, 0
            elif flaw:
                yield number, flaw

    def _words(self, chunk_id: bytes, blame: _Blame) -> tuple[str, str]:
        number, flaw = blame
        if flaw == NO_PACK:
            return f"chunk {chunk_id.hex()}", TEXTS[flaw]
        if not flaw:
            return self.of_pack(number)
        return layout.pack_name(self._packs.id_of(number)), TEXTS[flaw]

    def _remember(self, key: int, chunk_id: bytes, blame: _Blame) -> None:
        known = self._flawed.setdefault(key, {})
        if self._count < MAX_FLAWED:
            known[chunk_id] = blame
            self._count += 1

    def cost(self, key: int, ref: ManifestRef, manifest: Manifest) -> _Cost:
        """What the flaws of a manifest's chunks cost."""
        flawed = self._flawed[key]
        if not flawed:
            return _Cost([], ref.files)
        words: dict[int, tuple[str, str]] = {}
        for number in {number for entry in manifest.entries for number in entry.extents[::3]}:
            chunk_id = chunk_at(manifest, number)
            if chunk_id in flawed:
                words[number] = self._words(chunk_id, flawed[chunk_id])
        flaws: list[_Flaw] = []
        paths = set()
        for entry in manifest.entries:
            # Once for each object, however many of the file's chunks are in it.
            said = dict.fromkeys(words[number] for number in entry.extents[::3] if number in words)
            flaws += [_Flaw(*each, entry.path, entry.path) for each in said]
            if said:
                paths.add(entry.path)
        return _Cost(flaws, len(paths))


def lose(subject: Subject, damage: Damage, key: int, ref: ManifestRef, error: RepositoryError) -> None:
    """A manifest cannot be read."""
    damage.lost[key] = _culprit(subject, ref), error.message
    damage.findings.add(*damage.lost[key])


def name_losses(
    subject: Subject, names: Sequence[str], damage: Damage, key_of: Callable[[ManifestRef], int], walk: Walk
) -> None:
    """Say which files of which snapshots cannot be restored.

    Raises:
        StoreError: the store does not answer.
    """
    if not damage:
        return
    costs: dict[int, _Cost] = {}
    room = MAX_NAMED
    for snapshot in snapshots(subject, names, lambda _, __: None):
        for key, ref in _damaged(snapshot, damage, key_of):
            walk.alive()
            cost = costs.get(key)
            if cost is None:
                # A manifest that several snapshots share is read once more; its flaws touch each of them.
                cost = _cost(subject, damage, key, ref)
                costs[key] = cost = (
                    cost if len(cost.flaws) <= room else cost._replace(flaws=cost.flaws[:room])
                )
                room -= len(cost.flaws)
            for flaw in cost.flaws:
                damage.findings.touch(flaw.object, flaw.text, Touched(snapshot.id, flaw.first, flaw.last))
            damage.findings.lose(snapshot.id, snapshot.time_ns, cost.files, snapshot.files)


def _damaged(
    snapshot: Snapshot, damage: Damage, key_of: Callable[[ManifestRef], int]
) -> Iterator[tuple[int, ManifestRef]]:
    for ref in snapshot.manifests:
        key = key_of(ref)
        if key in damage:
            yield key, ref


def _cost(subject: Subject, damage: Damage, key: int, ref: ManifestRef) -> _Cost:
    if key not in damage.lost:
        try:
            return damage.cost(key, ref, read_manifest(*subject, ref))
        except (FormatError, ObjectMissing) as error:
            lose(subject, damage, key, ref, error)
    return _Cost([_Flaw(*damage.lost[key], ref.first, ref.last)], ref.files)


def _culprit(subject: Subject, ref: ManifestRef) -> str:
    """The name of the object for which a manifest cannot be read: its own, or that of a base."""
    name = layout.manifest_name(ref.id)
    try:
        for _, stored in manifest_chain(*subject, ref):
            if stored.base is not None:
                name = layout.manifest_name(stored.base.id)
    except (FormatError, ObjectMissing):
        return name
    return layout.manifest_name(ref.id)
