"""A manifest that is stored as a patch of another is read as the whole one that it stands for."""

import threading
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.header import Kind
from repository.access import VaultId
from repository.catalog import manifests_ahead, read_manifest, write_patch
from repository.check import EVERYTHING, check
from repository.errors import FormatError, ObjectDamaged, ObjectMissing, RepositoryError, VaultMismatch
from repository.layout import manifest_name, segment_id
from repository.manifest import BaseRef, Entry, EntryKey, Manifest, ManifestRef, StoredManifest
from repository.measure import MeasuredReader, Meter
from repository.needed import needed
from repository.objects import MAX_MANIFEST, put_struct
from repository.patch import MAX_DEPTH, base_ref, entry_key, holds, merge, order_of
from repository.rules import check_manifest, describe
from repository.walk import Walk

if TYPE_CHECKING:
    from tests.repository.conftest import Repo

JOB = b"J" * 16
DIGEST = b"d" * 32
BASE = BaseRef(b"b" * 24, 1, DIGEST)
Tree = dict[EntryKey, tuple[bytes, int]]
"""What is at a path and offset: the chunk that has it, and its length; part 0 of a path is whole if it is alone."""

names = st.sampled_from([b"/" + name for name in b"a a/b a.b a/c b c/d c/d/e c-d e f g/h z".split()])
keys = st.tuples(names, st.sampled_from([0, 0, 0, 50, 100]))
contents = st.tuples(st.sampled_from([bytes([n]) * 32 for n in range(6)]), st.integers(1, 50))
trees = st.dictionaries(keys, contents, max_size=12)


def entries_of(tree: Tree, table: dict[bytes, int]) -> list[Entry]:
    """Entries whose extents count in `table`, which learns their chunks."""
    found = []
    for key in sorted(tree, key=order_of):
        path, offset = key
        chunk, length = tree[key]
        number = table.setdefault(chunk, len(table))
        # The digest may be any 32 bytes.
        parts = any(other != key and other[0] == path for other in tree) or offset > 0
        size, part = (1000, length) if parts else (length, -1)
        found.append(Entry(path, "f", size, b"", b"", [number, 0, length], chunk, [], offset, part))
    return found


def manifest_of(tree: Tree) -> Manifest:
    table: dict[bytes, int] = {}
    entries = entries_of(tree, table)
    return Manifest(entries, b"".join(table), [50] * len(table))


def meaning(manifest: Manifest) -> list[Entry]:
    """The entries with chunk ids in place of numbers in a table."""
    ids = [manifest.chunk_ids[at : at + 32] for at in range(0, len(manifest.chunk_ids), 32)]
    return [
        msgspec.structs.replace(
            entry, stamp=b"".join(ids[number] for number in entry.extents[::3]), extents=entry.extents[1:]
        )
        for entry in manifest.entries
    ]


def patch_to(base: Manifest, tree: Tree, name: BaseRef = BASE) -> StoredManifest:
    """What a writer stores to get from a manifest to a tree."""
    table: dict[bytes, int] = {}
    wanted = entries_of(tree, {})
    was = {entry_key(entry): one for entry, one in zip(base.entries, meaning(base), strict=True)}
    now = {entry_key(entry): one for entry, one in zip(wanted, meaning(manifest_of(tree)), strict=True)}
    changed = [entry for entry in wanted if was.get(entry_key(entry)) != now[entry_key(entry)]]
    kept = []
    for entry in changed:
        chunk, length = tree[entry.path, entry.part_offset]
        number = table.setdefault(chunk, len(table))
        kept.append(msgspec.structs.replace(entry, extents=[number, 0, length]))
    gone = [(each.path, each.part_offset) for each in base.entries if entry_key(each) not in now]
    return StoredManifest(name, gone, kept, b"".join(table), [50] * len(table))


@settings(max_examples=300)
@given(generations=st.lists(trees, min_size=2, max_size=MAX_DEPTH + 1))
def test_a_base_and_its_patches_are_the_whole_manifest(generations: list[Tree]) -> None:
    found = manifest_of(generations[0])
    for tree in generations[1:]:
        before = msgspec.structs.replace(found, entries=[*found.entries])
        found, base = merge(found, patch_to(found, tree)), found
        check_manifest(found)
        assert meaning(found) == meaning(manifest_of(tree))
        assert base == before, "the base is left as it was"
    assert len(found.bases) == len(generations) - 1


def one(path: bytes, number: int = 0, length: int = 10, offset: int = 0) -> Entry:
    part = length if offset else -1
    return Entry(
        path, "f", 1000 if offset else length, b"", b"", [number, 0, length], DIGEST, [], offset, part
    )


WHOLE = Manifest([one(b"/a"), one(b"/b"), one(b"/d")], b"c" * 32, [50])


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (StoredManifest(None, [], [], b"", []), "without a base"),
        (StoredManifest(BASE, [(b"/c", 0)], [], b"", []), "has not"),
        (StoredManifest(BASE, [(b"/b", 50)], [], b"", []), "has not"),
        (StoredManifest(BASE, [(b"/b", 0), (b"/a", 0)], [], b"", []), "not in order"),
        (StoredManifest(BASE, [(b"/b", 0), (b"/b", 0)], [], b"", []), "not in order"),
        (StoredManifest(BASE, [(b"/b", 0)], [one(b"/b")], b"e" * 32, [50]), "what it brings"),
        (StoredManifest(BASE, [], [one(b"/c"), one(b"/b")], b"e" * 32, [50]), "paths are not in order"),
        (StoredManifest(BASE, [], [one(b"/c"), one(b"/c")], b"e" * 32, [50]), "paths are not in order"),
        (StoredManifest(BASE, [], [one(b"/c/../d")], b"e" * 32, [50]), "lead elsewhere"),
        (StoredManifest(BASE, [], [one(b"/c", 1)], b"e" * 32, [50]), "outside its chunk"),
        (StoredManifest(BASE, [], [one(b"/c")], b"", []), "outside its chunk"),
        (StoredManifest(BASE, [], [one(b"/c")], b"e" * 31, [50]), "cut short"),
        (StoredManifest(BASE, [], [one(b"/c", length=60)], b"e" * 32, [50]), "outside its chunk"),
    ],
)
def test_patches_that_break_a_rule_are_refused(broken: StoredManifest, why: str) -> None:
    with pytest.raises(ObjectDamaged, match=why):
        merge(WHOLE, broken)


def test_what_the_base_holds_is_found() -> None:
    entries = [one(b"/a"), one(b"/a", offset=50), one(b"/b")]
    assert [holds(entries, key) for key in ((b"/a", 0), (b"/a", 50), (b"/b", 0))] == [True] * 3
    assert not any(holds(entries, key) for key in ((b"/a", 1), (b"/aa", 0), (b"/c", 0), (b"/", 0)))


class Chain:
    """A file in a whole manifest, and generations of patches, each of which adds one file."""

    def __init__(self, repo: "Repo") -> None:
        self.repo = repo
        whole, packs = repo.segment({b"/0": b"first", b"/z": b"last"})
        repo.publish(packs)
        self.refs = [repo.put_manifest(whole)]
        self.whole = whole

    def read(self, at: int = -1) -> Manifest:
        repo = self.repo
        return read_manifest(repo.store, repo.vault, repo.keys, self.refs[at])

    def patch(self, path: bytes, data: bytes = b"more") -> ManifestRef:
        repo, number = self.repo, len(self.refs)
        own, packs = repo.segment({path: data}, repo.loaded())
        repo.publish(packs)
        patch = StoredManifest(base_ref(self.refs[-1]), [], own.entries, own.chunk_ids, own.chunk_lengths)
        name = segment_id(JOB, 1, number)
        self.refs.append(write_patch(repo.store, repo.vault, repo.keys, 1, name, self.read(), patch))
        return self.refs[-1]

    def force(self, patch: StoredManifest, vault: VaultId | None = None, number: int = 99) -> ManifestRef:
        """Store what no writer of ours would; its reference is right but for what a reader finds out."""
        repo = self.repo
        name = segment_id(JOB, 1, number)
        header = (vault or repo.vault).header(Kind.MANIFEST, 1, name)
        stored = put_struct(repo.store, manifest_name(name), repo.keys.dek(1), header, patch, MAX_MANIFEST)
        return describe(self.whole, name, 1, stored.digest)


@pytest.fixture
def chained(repo: "Repo") -> Chain:
    return Chain(repo)


def test_a_chain_comes_back_and_names_its_bases(chained: Chain) -> None:
    for number in range(1, MAX_DEPTH + 1):
        chained.patch(b"/%d" % number)
        found = chained.read()
        assert [entry.path for entry in found.entries] == [b"/%d" % n for n in range(number + 1)] + [b"/z"]
        assert found.bases == tuple(base_ref(ref) for ref in reversed(chained.refs[:-1]))


def test_a_chain_that_is_too_deep_is_neither_written_nor_read(chained: Chain) -> None:
    for number in range(1, MAX_DEPTH + 1):
        chained.patch(b"/%d" % number)
    with pytest.raises(ObjectDamaged, match="more than 4"):
        chained.patch(b"/5")
    own, _ = chained.repo.segment({b"/5": b"more"})
    deep = StoredManifest(base_ref(chained.refs[-1]), [], own.entries, own.chunk_ids, own.chunk_lengths)
    chained.refs.append(chained.force(deep))
    with pytest.raises(ObjectDamaged, match="more than 4"):
        chained.read()


def test_a_base_is_the_one_of_its_digest(chained: Chain) -> None:
    own, _ = chained.repo.segment({b"/1": b"more"})
    first = base_ref(chained.refs[0])
    # A circle would need the digest of what contains that digest; the nearest thing names itself by its id.
    itself = BaseRef(segment_id(JOB, 1, 50), 1, first.digest)
    for number, base in ((40, msgspec.structs.replace(first, digest=bytes(32))), (50, itself)):
        lie = StoredManifest(base, [], own.entries, own.chunk_ids, own.chunk_lengths)
        chained.refs.append(chained.force(lie, number=number))
        with pytest.raises(FormatError, match="not the object"):
            chained.read()


def test_a_base_of_another_vault_is_refused(chained: Chain) -> None:
    whole = chained.whole
    foreign = chained.force(
        StoredManifest(None, [], whole.entries, whole.chunk_ids, whole.chunk_lengths),
        VaultId(b"T" * 16, b"W" * 16),
        number=60,
    )
    chained.refs.append(chained.force(StoredManifest(base_ref(foreign), [(b"/0", 0)], [], b"", [])))
    with pytest.raises(VaultMismatch):
        chained.read()


def test_a_whole_manifest_takes_nothing_away(chained: Chain) -> None:
    whole = chained.whole
    bad = StoredManifest(None, [(b"/0", 0)], whole.entries, whole.chunk_ids, whole.chunk_lengths)
    chained.refs.append(chained.force(bad))
    with pytest.raises(ObjectDamaged, match="no base"):
        chained.read()


def test_a_base_does_not_reach_into_the_chunks_of_its_patch(chained: Chain) -> None:
    own, _ = chained.repo.segment({b"/1": b"more"})
    short = chained.force(StoredManifest(None, [], chained.whole.entries, b"", []), number=70)
    patch = StoredManifest(base_ref(short), [], own.entries, own.chunk_ids, own.chunk_lengths)
    chained.refs.append(chained.force(patch))
    with pytest.raises(ObjectDamaged, match="outside its chunk"):
        chained.read()


def test_a_patch_is_as_its_reference_says(chained: Chain) -> None:
    ref = chained.patch(b"/1")
    chained.refs.append(msgspec.structs.replace(ref, files=ref.files - 1))
    with pytest.raises(ObjectDamaged, match="describes"):
        chained.read()


def test_a_patch_that_leaves_nothing_is_not_written(chained: Chain) -> None:
    repo = chained.repo
    patch = StoredManifest(base_ref(chained.refs[0]), [(b"/0", 0), (b"/z", 0)], [], b"", [])
    with pytest.raises(ObjectDamaged, match="without entries"):
        write_patch(repo.store, repo.vault, repo.keys, 1, segment_id(JOB, 1, 9), chained.whole, patch)
    assert len(repo.stored("manifests/")) == 1


def test_the_snapshots_need_the_bases(chained: Chain) -> None:
    chained.patch(b"/1")
    chained.patch(b"/2")
    repo = chained.repo
    repo.commit([chained.refs[-1]])
    with needed(repo.subject, repo.room, Walk()) as found:
        assert found.unreadable == 0
        assert set(repo.stored("manifests/")) | set(repo.stored("packs/")) <= set(found.names)
    report = check(repo.subject, repo.room, EVERYTHING)
    assert (report.problems, report.manifests, report.unused_manifests, report.unused_packs) == ([], 3, 0, 0)


def test_a_replaced_entry_needs_its_pack_no_more(chained: Chain) -> None:
    (old,) = chained.repo.stored("packs/")
    chained.patch(b"/0", b"other than before")
    chained.patch(b"/z", b"this too")
    repo = chained.repo
    repo.commit([chained.refs[-1]])
    repo.store.delete(old)
    with needed(repo.subject, repo.room, Walk()) as found:
        assert found.unreadable == 0 and old not in list(found.names)
    report = check(repo.subject, repo.room)
    assert [problem.touched for problem in report.problems] == [[]]
    assert report.chunks == 2


@pytest.mark.parametrize("change", ["missing", "damaged"])
def test_a_damaged_base_is_named_for_every_snapshot_that_needs_it(chained: Chain, change: str) -> None:
    repo = chained.repo
    snapshots = [repo.commit([chained.refs[0]], 1)]
    snapshots += [repo.commit([chained.patch(b"/%d" % number)], number) for number in (2, 3)]
    name = manifest_name(chained.refs[1].id)
    if change == "missing":
        repo.store.delete(name)
    else:
        repo.damage(name, lambda data: data[:-1] + bytes([data[-1] ^ 1]))
    (problem,) = check(repo.subject, repo.room).problems
    assert problem.object == name
    assert [place.snapshot for place in problem.touched] == [each.id for each in snapshots[1:]]
    with pytest.raises((FormatError, ObjectMissing), match=name):
        chained.read()
    chained.read(0)
    with needed(repo.subject, repo.room, Walk()) as found:
        assert found.unreadable


@given(
    gone=st.lists(keys, max_size=3),
    entries=st.lists(
        st.builds(one, names, st.integers(0, 2), st.integers(0, 60), st.integers(0, 2)), max_size=4
    ),
    table=st.integers(0, 2),
)
def test_a_merge_is_lawful_or_refused(gone: list[EntryKey], entries: list[Entry], table: int) -> None:
    try:
        found = merge(WHOLE, StoredManifest(BASE, gone, entries, b"e" * 32 * table, [50] * table))
    except RepositoryError:
        return
    check_manifest(found)


class Watching(MeasuredReader):
    """Notes which names were fetched by the thread that asks."""

    def __init__(self, repo: "Repo") -> None:
        super().__init__(repo.store, Meter())
        self.waited_for: list[str] = []

    def get(self, name: str, limit: int) -> bytes:
        if threading.current_thread() is threading.main_thread():
            self.waited_for.append(name)
        return super().get(name, limit)


def test_bases_are_fetched_ahead_with_what_needs_them(chained: Chain) -> None:
    for number in range(1, MAX_DEPTH + 1):
        chained.patch(b"/%d" % number)
    repo, refs = chained.repo, [chained.refs[-1]] * 8
    assert refs[0].bases == tuple(ref.id for ref in reversed(chained.refs[:-1]))
    whole, watched = chained.read(), Watching(chained.repo)
    with manifests_ahead(watched, refs) as store:
        for ref in refs:
            assert read_manifest(store, repo.vault, repo.keys, ref) == whole
    assert watched.waited_for == []


def test_a_reference_that_hides_a_base_is_refused(chained: Chain) -> None:
    ref = chained.patch(b"/1")
    chained.refs.append(msgspec.structs.replace(ref, bases=()))
    with pytest.raises(ObjectDamaged, match="describes"):
        chained.read()
