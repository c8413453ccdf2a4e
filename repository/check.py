"""Is everything there that the snapshots need, and is it what it should be?

`check` reads all metadata and compares them with each other and with the listing; with `read_data` it also
opens every chunk and computes its id again, which finds even wrong content sealed by a holder of the key. It
changes nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from crypto.chunkid import ChunkIds
from crypto.keyrecord import CHUNK_ID as CHUNK_ID_PURPOSE
from crypto.keyrecord import DEK
from repository import layout
from repository.access import KeyRing, VaultId
from repository.catalog import manifest_chain, read_manifest, read_snapshots
from repository.compression import Decompressor
from repository.errors import FormatError, ObjectMissing, RepositoryError
from repository.fetch import Fetched, Fetcher
from repository.index import Index, Location
from repository.manifest import ManifestRef, PackSummary
from repository.pack import RECORD, read_table
from repository.store import ReadStore
from repository.vault import epochs, read_config, read_key_record

Progress = Callable[[str, int, int], None]
"""`progress(step, done, total)`, the steps being `packs`, `data` and `manifests`."""


class Touched(NamedTuple):
    """Paths of a snapshot, `first` to `last` in path order, that a problem keeps from being restored."""

    snapshot: bytes
    first: bytes
    last: bytes


class Problem(NamedTuple):
    """Something wrong with one object or chunk, and what it touches."""

    object: str
    text: str
    touched: list[Touched]


class CheckReport(NamedTuple):
    """What was found. What is unused is not wrong: a running job may need it, or `prune` removes it."""

    problems: list[Problem]
    snapshots: int
    manifests: int
    packs: int
    chunks: int
    chunks_read: int
    unused_packs: int
    unused_bytes: int
    unused_chunks: int
    unused_manifests: int


class _Findings:
    """Problems by object and text, in the order of their finding."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], list[Touched]] = {}

    def add(self, name: str, text: str, touched: Touched | None = None) -> None:
        places = self._found.setdefault((name, text), [])
        if touched is not None:
            places.append(touched)

    def add_error(self, name: str, error: RepositoryError) -> None:
        self.add(name, error.message)

    def problems(self) -> list[Problem]:
        return [Problem(name, text, touched) for (name, text), touched in self._found.items()]


class _Flaw(NamedTuple):
    object: str
    text: str
    first: bytes
    last: bytes


@dataclass(frozen=True)
class _Subject:
    store: ReadStore
    vault: VaultId
    keys: KeyRing


@dataclass(frozen=True)
class _Stock:
    """What the store holds, as far as it was looked at: what is wrong with packs and with chunks."""

    index: Index
    bad_packs: dict[bytes, str]
    bad_chunks: dict[tuple[bytes, bytes], tuple[str, str]]


def check(
    store: ReadStore,
    vault: VaultId,
    keys: KeyRing,
    *,
    read_data: bool = False,
    progress: Progress | None = None,
) -> CheckReport:
    """Check a whole repository.

    Raises:
        StoreError: the store does not answer, so that nothing can be said.
        StrongroomError: a key that is needed is refused.
    """
    subject = _Subject(store, vault, keys)
    tell = progress or _silent
    findings = _Findings()
    _check_vault(subject, findings)
    index = Index()
    index.refresh(store, vault, keys, findings.add_error)
    sizes = _stored_packs(store, findings, tell)
    stock = _Stock(index, _bad_packs(index, sizes, findings), {})
    chunks_read = _read_packs(subject, sizes, stock, findings, tell) if read_data else 0
    used, manifests, snapshots = _check_snapshots(subject, stock, findings, tell)
    used_packs = {index.locate(chunk_id).pack for chunk_id in used if index.contains(chunk_id)}
    unused = sizes.keys() - used_packs
    stored_manifests = sum(1 for _ in store.list(layout.MANIFESTS))
    return CheckReport(
        problems=findings.problems(),
        snapshots=snapshots,
        manifests=len(manifests),
        packs=len(sizes),
        chunks=len(used),
        chunks_read=chunks_read,
        unused_packs=len(unused),
        unused_bytes=sum(sizes[pack_id] for pack_id in unused),
        unused_chunks=len(index) - sum(index.contains(chunk_id) for chunk_id in used),
        unused_manifests=max(0, stored_manifests - len(manifests)),
    )


def _silent(_step: str, _done: int, _total: int) -> None:
    pass


def _check_vault(subject: _Subject, findings: _Findings) -> None:
    store, vault, keys = subject.store, subject.vault, subject.keys
    try:
        read_config(store, vault, keys)
    except RepositoryError as error:
        findings.add_error(layout.CONFIG, error)
    wanted = [(CHUNK_ID_PURPOSE, 0, layout.CHUNK_ID_KEY)]
    wanted += [(DEK, epoch, layout.dek_name(epoch)) for epoch in epochs(store)]
    for purpose, epoch, name in wanted:
        try:
            read_key_record(store, vault, purpose, epoch)
        except RepositoryError as error:
            findings.add_error(name, error)


def _stored_packs(store: ReadStore, findings: _Findings, progress: Progress) -> dict[bytes, int]:
    """Size by pack id, of everything below packs/."""
    sizes = {}
    for number, name in enumerate(store.list(layout.PACKS)):
        try:
            pack_id = layout.id_of(name)
            if layout.pack_name(pack_id) != name:
                findings.add(name, "the pack is not in its folder")
            else:
                sizes[pack_id] = store.size(name)
        except (FormatError, ObjectMissing) as error:
            findings.add_error(name, error)
        progress("packs", number + 1, 0)
    return sizes


def _bad_packs(index: Index, sizes: dict[bytes, int], findings: _Findings) -> dict[bytes, str]:
    bad = {}
    for pack in index.packs():
        if pack.id not in sizes:
            bad[pack.id] = "the pack is missing"
        elif sizes[pack.id] != pack.size:
            bad[pack.id] = f"the pack has {sizes[pack.id]} bytes, but the index says {pack.size}"
        if pack.id in bad:
            findings.add(layout.pack_name(pack.id), bad[pack.id])
    return bad


def _read_packs(
    subject: _Subject, sizes: dict[bytes, int], stock: _Stock, findings: _Findings, progress: Progress
) -> int:
    """Open every chunk of every pack that is there; returns how many were found good."""
    ids = ChunkIds(subject.keys.chunk_id_key())
    fetcher = Fetcher(subject.store, subject.vault, subject.keys, stock.index)
    inflate = Decompressor()
    good = 0
    for number, pack in enumerate(stock.index.packs()):
        if pack.id not in sizes:
            continue
        summary = stock.index.table_of(number)
        _compare_table(subject, summary, findings)
        for got in fetcher.fetch_at(_places(summary)):
            text = _flaw_of(got, ids, inflate) if isinstance(got, Fetched) else "a chunk does not open"
            if text:
                findings.add(layout.pack_name(pack.id), text)
                stock.bad_chunks[pack.id, got.chunk_id] = (layout.pack_name(pack.id), text)
            else:
                good += 1
        progress("data", number + 1, len(sizes))
    return good


def _compare_table(subject: _Subject, summary: PackSummary, findings: _Findings) -> None:
    name = layout.pack_name(summary.id)
    try:
        if read_table(subject.store, subject.vault, subject.keys, summary.id) != summary:
            findings.add(name, "the pack's own table and the index differ")
    except (FormatError, ObjectMissing) as error:
        findings.add_error(name, error)


def _places(summary: PackSummary) -> Iterator[tuple[bytes, Location]]:
    for chunk_id, offset, sealed, raw, codec in RECORD.iter_unpack(summary.records):
        yield chunk_id, Location(summary.id, summary.epoch, offset, sealed, raw, codec)


def _flaw_of(got: Fetched, ids: ChunkIds, inflate: Decompressor) -> str:
    try:
        data = inflate.decompress(got.codec, got.payload, got.raw_len)
    except FormatError as error:
        return error.message
    return "" if ids.name(data) == got.chunk_id else "a chunk does not hold what its id says"


def _check_snapshots(
    subject: _Subject, stock: _Stock, findings: _Findings, progress: Progress
) -> tuple[set[bytes], set[bytes], int]:
    """The chunk ids used, the ids of the manifests used, bases among them, and the number of good snapshots."""
    used: set[bytes] = set()
    manifests: set[bytes] = set()
    seen: dict[ManifestRef, list[_Flaw]] = {}
    damaged: list[str] = []

    def on_damaged(name: str, error: RepositoryError) -> None:
        findings.add_error(name, error)
        damaged.append(name)

    snapshots = read_snapshots(subject.store, subject.vault, subject.keys, on_damaged)
    total = sum(len(snapshot.manifests) for snapshot in snapshots)
    done = 0
    for snapshot in snapshots:
        for ref in snapshot.manifests:
            # A manifest that several snapshots share is read once; its flaws touch each of them.
            if ref not in seen:
                seen[ref] = list(_check_manifest(subject, ref, stock, used, manifests))
            for flaw in seen[ref]:
                findings.add(flaw.object, flaw.text, Touched(snapshot.id, flaw.first, flaw.last))
            done += 1
            progress("manifests", done, total)
    return used, manifests, len(snapshots)


def _check_manifest(
    subject: _Subject, ref: ManifestRef, stock: _Stock, used: set[bytes], manifests: set[bytes]
) -> Iterator[_Flaw]:
    """What is wrong with a manifest; adds the chunks and the stored manifests that it needs."""
    manifests.update((ref.id, *ref.bases))
    try:
        manifest = read_manifest(subject.store, subject.vault, subject.keys, ref)
    except (FormatError, ObjectMissing) as error:
        yield _Flaw(_culprit(subject, ref), error.message, ref.first, ref.last)
        return
    flawed: dict[int, tuple[str, str]] = {}
    # A patch may leave chunks of its base unused: their loss is not the loss of this manifest.
    for number in sorted({number for entry in manifest.entries for number in entry.extents[::3]}):
        chunk_id = manifest.chunk_ids[number * layout.CHUNK_ID : (number + 1) * layout.CHUNK_ID]
        used.add(chunk_id)
        flaw = _chunk_flaw(chunk_id, manifest.chunk_lengths[number], stock)
        if flaw is not None:
            flawed[number] = flaw
    if not flawed:
        return
    for entry in manifest.entries:
        for number in dict.fromkeys(entry.extents[::3]):
            if number in flawed:
                yield _Flaw(*flawed[number], entry.path, entry.path)


def _culprit(subject: _Subject, ref: ManifestRef) -> str:
    """The name of the object for which a manifest cannot be read: its own, or that of a base."""
    name = layout.manifest_name(ref.id)
    try:
        for _, stored in manifest_chain(subject.store, subject.vault, subject.keys, ref):
            if stored.base is not None:
                name = layout.manifest_name(stored.base.id)
    except (FormatError, ObjectMissing):
        return name
    return layout.manifest_name(ref.id)


def _chunk_flaw(chunk_id: bytes, length: int, stock: _Stock) -> tuple[str, str] | None:
    """The object to blame and the text, or None."""
    if not stock.index.contains(chunk_id):
        return f"chunk {chunk_id.hex()}", "no pack is known to hold it"
    place = stock.index.locate(chunk_id)
    name = layout.pack_name(place.pack)
    if place.pack in stock.bad_packs:
        return name, stock.bad_packs[place.pack]
    if place.raw_len != length:
        return name, "the index and a manifest differ about the length of a chunk"
    return stock.bad_chunks.get((place.pack, chunk_id))
