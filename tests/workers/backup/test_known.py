"""A file whose content is stored already is not stored again, and comes back byte for byte."""

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from blake3 import blake3

from crypto.chunkid import FileNames
from crypto.secret import SecretKey
from repository.access import VaultId
from repository.builder import absent_chunks
from repository.cache.files import _EXTENT as EXTENT
from repository.cache.files import Extent, FileTable, KnownFiles
from repository.compression import Decompressor
from repository.fetch import Fetched, Fetcher
from repository.index import ChunkIndex, Index, write_indexes
from repository.manifest import Entry, Manifest, PackSummary, WorkItem
from repository.rules import check_manifest
from sources.filesystem.files import FileReader
from sources.filesystem.walk import walk
from sources.patterns import Patterns
from tests.repository.conftest import JOB, Repo
from workers.backup.replay import Replay
from workers.backup.segment import Outcome, SegmentWriter

DICE = random.Random(4)
SMALL = DICE.randbytes(3000)
LARGE = DICE.randbytes(40_000)


class Host:
    """Backs up folders as segments of a vault, one after the other."""

    def __init__(self, repo: Repo, cache: Path) -> None:
        self.repo = repo
        self.cache = cache
        self.index: ChunkIndex = Index()
        self.table = FileTable(cache, repo.vault)
        self.names = FileNames(repo.keys.chunk_key)
        self.number = 0

    def segment(self, folder: Path, parents: Sequence[Manifest] = (), *, table: bool = True) -> Outcome:
        """One segment; no index object names its packs yet."""
        self.packs: list[PackSummary]
        self.table.open()
        stream = self.repo.stream(self.index)
        known = KnownFiles(self.table, self.names) if table else None
        writer = SegmentWriter(stream, FileReader(), self.index, parents, lambda *_: None, known)
        items = [WorkItem(*found) for found in walk([os.fsencode(folder)], Patterns.parse(()), _fail, _fail)]
        found = writer.describe(items)
        assert found.manifest is not None
        assert found.errors == []
        check_manifest(found.manifest)
        self.packs = stream.stored
        return found

    def backup(self, folder: Path, parents: Sequence[Manifest] = (), *, table: bool = True) -> Outcome:
        """A segment whose packs are indexed, as after the end of a backup."""
        self.index.forget_unindexed()
        self.repo.refresh(self.index)
        found = self.segment(folder, parents, table=table)
        self.publish(self.packs)
        assert_restores(self.repo, manifest_of(found))
        return found

    def publish(self, packs: list[PackSummary]) -> None:
        self.number += 1
        if packs:
            repo = self.repo
            write_indexes(repo.store, repo.vault, repo.keys, 1, JOB, self.number, packs)

    def name(self, content: bytes) -> bytes:
        return self.names.name(blake3(content).digest(), len(content))

    def remembered(self, content: bytes) -> list[Extent]:
        return self.table.find(self.names, self.name(content), len(content))

    def as_after_a_restart(self) -> None:
        self.table.close()
        self.table = FileTable(self.cache, self.repo.vault)
        self.index = Index()
        self.repo.refresh(self.index)


def _fail(path: bytes, why: str) -> None:
    raise AssertionError(path, why)


def manifest_of(found: Outcome) -> Manifest:
    assert found.manifest is not None
    return found.manifest


def entry(manifest: Manifest, name: str) -> Entry:
    (found,) = [each for each in manifest.entries if each.path.endswith(b"/" + name.encode())]
    return found


def assert_restores(repo: Repo, manifest: Manifest) -> None:
    """Every file of the manifest, from what the repository has, is what is on the disk."""
    index = repo.loaded()
    assert absent_chunks(manifest, index) == frozenset()
    ids = [manifest.chunk_ids[at : at + 32] for at in range(0, len(manifest.chunk_ids), 32)]
    chunks = {}
    for got in Fetcher(repo.store, repo.vault, repo.keys, index).fetch(ids):
        assert isinstance(got, Fetched), got
        chunks[got.chunk_id] = bytes(Decompressor().decompress(got.codec, got.payload, got.raw_len))
    assert [len(chunks[chunk_id]) for chunk_id in ids] == list(manifest.chunk_lengths)
    for each in manifest.entries:
        if each.kind == "f":
            flat = iter(each.extents)
            data = b"".join(
                chunks[ids[n]][at : at + length] for n, at, length in zip(flat, flat, flat, strict=True)
            )
            content = Path(os.fsdecode(each.path)).read_bytes()
            if each.ranges:
                content = b"".join(content[at : at + length] for at, length in each.ranges)
            assert data == content
            assert each.digest == blake3(content).digest()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if os.path.isdir(memory) else None) as folder:
        yield Host(Repo(Path(folder, "repo")), Path(folder, "cache", "files"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, data in (("a/small", SMALL), ("a/large", LARGE), ("b/other", b"other")):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "tree"


def rename(tree: Path) -> None:
    (tree / "a/small").rename(tree / "a/zmall")
    (tree / "a/large").rename(tree / "a/before")


def move(tree: Path) -> None:
    (tree / "a/small").rename(tree / "b/small")
    (tree / "a/large").rename(tree / "large")


def move_the_folder(tree: Path) -> None:
    (tree / "a").rename(tree / "c")


def copy(tree: Path) -> None:
    shutil.copyfile(tree / "a/small", tree / "b/copy")
    shutil.copyfile(tree / "a/large", tree / "copy")


def touch(tree: Path) -> None:
    os.utime(tree / "a/small", ns=(1, 1))
    os.utime(tree / "a/large", ns=(1, 1))


CHANGES = [rename, move, move_the_folder, copy, touch]


@pytest.mark.parametrize("change", CHANGES)
def test_what_the_parent_has_in_this_range_is_not_stored_again(
    host: Host, tree: Path, change: Callable[[Path], None]
) -> None:
    first = host.backup(tree, table=False)
    change(tree)
    second = host.backup(tree, [manifest_of(first)], table=False)
    assert (second.stats.bytes_stored, second.stats.chunks_new) == (0, 0)


@pytest.mark.parametrize("change", CHANGES)
def test_what_this_host_has_stored_before_is_not_stored_again(
    host: Host, tree: Path, change: Callable[[Path], None]
) -> None:
    (tree / "a/small").unlink()
    (tree / "b/other").write_bytes(LARGE[:20_000])
    (tree / "a/small").write_bytes(LARGE[20_000:])
    host.backup(tree)
    change(tree)
    host.as_after_a_restart()
    second = host.backup(tree, [unrelated(host, tree)])
    assert (second.stats.bytes_stored, second.stats.chunks_new) == (0, 0)


def unrelated(host: Host, tree: Path) -> Manifest:
    """A parent that has none of the files: what it has not is new, and not all of it read again."""
    folder = tree.with_name("unrelated")
    folder.mkdir()
    (folder / "file").write_bytes(b"unrelated")
    return manifest_of(host.backup(folder, table=False))


@pytest.mark.parametrize("table", [True, False])
def test_what_is_read_again_without_its_parent_is_not_stored_again(
    host: Host, tree: Path, table: bool
) -> None:
    host.backup(tree, table=table)
    host.as_after_a_restart()
    second = host.backup(tree, table=table)
    assert (second.stats.bytes_stored, second.stats.chunks_new) == (0, 0)


def test_a_copy_in_the_same_segment_is_stored_once(host: Host, tree: Path) -> None:
    shutil.copyfile(tree / "a/small", tree / "b/copied")
    (tree / "b/other copy").write_bytes(b"other")
    manifest = manifest_of(host.backup(tree, table=False))
    assert entry(manifest, "copied").extents == entry(manifest, "small").extents
    assert entry(manifest, "other copy").extents == entry(manifest, "other").extents
    assert sum(manifest.chunk_lengths) == len(SMALL) + len(LARGE) + len(b"other")


def test_a_small_file_is_not_worth_an_entry_of_the_table(host: Host, tree: Path) -> None:
    host.backup(tree)
    host.table.open()
    assert host.remembered(LARGE) != []
    assert host.remembered(SMALL) == []


def test_a_pack_that_no_index_names_yet_is_named_by_the_segment_that_relies_on_it(
    host: Host, tree: Path
) -> None:
    first = host.segment(tree / "a/large")
    (pack,) = host.packs
    second = host.segment(tree / "a/large")
    assert second.stats.chunks_new == 0
    assert host.packs == [pack]
    host.publish(host.packs)
    for found in (first, second):
        assert_restores(host.repo, manifest_of(found))


def test_what_another_process_stored_and_nobody_indexed_is_stored_again(host: Host, tree: Path) -> None:
    host.segment(tree)
    host.as_after_a_restart()
    second = host.backup(tree)
    assert second.stats.chunks_new > 0


def test_chunks_that_were_removed_are_stored_again(host: Host, tree: Path) -> None:
    host.backup(tree)
    repo = host.repo
    for name in repo.stored("index/") + repo.stored("packs/"):
        repo.store.delete(name)
    host.as_after_a_restart()
    assert host.backup(tree).stats.chunks_new > 0


def test_the_parents_content_is_not_used_if_its_chunks_are_gone(host: Host, tree: Path) -> None:
    first = host.backup(tree, table=False)
    repo = host.repo
    for name in repo.stored("index/") + repo.stored("packs/"):
        repo.store.delete(name)
    rename(tree)
    assert host.backup(tree, [manifest_of(first)], table=False).stats.chunks_new > 0


def test_a_table_of_another_vault_is_not_used(host: Host, tree: Path) -> None:
    lying = [Extent(bytes(32), 50_000, 0, len(LARGE))]
    other = FileTable(host.cache, VaultId(b"T" * 16, b"W" * 16))
    other.open()
    other.add(host.names, [(host.name(LARGE), lying)])
    other.close()
    assert host.backup(tree).stats.chunks_new > 0
    host.as_after_a_restart()
    shutil.copyfile(tree / "a/large", tree / "copy")
    assert host.backup(tree / "copy", [unrelated(host, tree)]).stats.chunks_new == 0


def test_an_entry_that_was_made_without_the_vaults_key_is_not_used(host: Host, tree: Path) -> None:
    first = manifest_of(host.backup(tree))
    other = FileNames(SecretKey(b"k" * 32))
    name = host.name(LARGE)
    before = host.remembered(LARGE)
    # The chunks are there, but in another order.
    said = b"".join(EXTENT.pack(*extent) for extent in reversed(before))
    host.table._env.update(lambda update: update.set(b"files", [(name, other.proof(name, said) + said)]))
    assert host.remembered(LARGE) == []
    host.backup(tree)
    assert entry(first, "large").digest == blake3(LARGE).digest()


def test_an_entry_for_chunks_of_another_length_is_not_used(host: Host, tree: Path) -> None:
    first = manifest_of(host.backup(tree))
    chunk_id = entry_chunk(first)
    lie = Extent(chunk_id, len(LARGE), 0, len(LARGE))
    host.table.add(host.names, [(host.name(LARGE), [lie])])
    host.index = Index()
    assert entry(manifest_of(host.backup(tree)), "large").extents[2::3] != [len(LARGE)]


def entry_chunk(manifest: Manifest) -> bytes:
    number = entry(manifest, "large").extents[0]
    return manifest.chunk_ids[32 * number : 32 * number + 32]


def test_flipped_bits_in_the_table_cost_only_deduplication(host: Host, tree: Path) -> None:
    host.backup(tree)
    (data,) = host.cache.glob("*/data.mdb")
    for _ in range(60):
        host.table.close()
        (data,) = host.cache.glob("*/data.mdb")
        whole = bytearray(data.read_bytes())
        # Where the entries are: a damaged page may kill its reader, see tests/repository/cache/test_index.py.
        at = whole.find(host.name(LARGE)) + DICE.randrange(360)
        whole[at] ^= 1 << DICE.randrange(8)
        data.write_bytes(whole)
        host.table = FileTable(host.cache, host.repo.vault)
        host.backup(tree)
        host.table._not_before = 0.0
        host.backup(tree)


def test_a_table_that_is_cut_short_is_begun_anew(host: Host, tree: Path) -> None:
    host.backup(tree)
    for length in (0, 5000, 12_000):
        host.table.close()
        (data,) = host.cache.glob("*/data.mdb")
        os.truncate(data, length)
        host.as_after_a_restart()
        host.backup(tree)
        assert host.remembered(LARGE) != []


def test_without_a_disk_for_the_table_files_are_stored(host: Host, tree: Path) -> None:
    host.cache.parent.mkdir(parents=True)
    host.cache.write_text("in the way")
    assert host.backup(tree).stats.chunks_new > 0


def test_a_table_that_has_grown_too_large_is_begun_anew(host: Host, tree: Path) -> None:
    host.table = FileTable(host.cache, host.repo.vault, most=1)
    host.backup(tree)
    assert host.remembered(LARGE) != []
    host.table.open()
    assert host.remembered(LARGE) == []


def test_a_file_with_holes_and_one_without_may_share_their_data(host: Host, tree: Path) -> None:
    with (tree / "a/sparse").open("wb") as file:
        file.truncate(2 << 20)
        file.seek(1 << 20)
        file.write(LARGE[:20_000])
    data = (tree / "a/sparse").read_bytes()[1 << 20 : (1 << 20) + 20_480]
    (tree / "b/plain").write_bytes(data)
    first = manifest_of(host.backup(tree))
    sparse, plain = entry(first, "sparse"), entry(first, "plain")
    assert (sparse.ranges, plain.ranges) == ([(1 << 20, len(data))], [])
    assert sparse.digest == plain.digest
    (tree / "a/sparse").rename(tree / "moved")
    moved = entry(manifest_of(host.backup(tree, [first])), "moved")
    assert (moved.ranges, moved.size, moved.digest) == (sparse.ranges, sparse.size, sparse.digest)


def test_files_that_come_as_they_were_stored_stay_in_the_stream(host: Host, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(200):
        (folder / f"{number:03d}-known").write_bytes(DICE.randbytes(17_000))
        (folder / f"{number:03d}-small").write_bytes(DICE.randbytes(1_000))
    host.backup(folder)
    host.as_after_a_restart()
    folder.rename(tmp_path / "moved")
    # Without this, the 200 kB of the small files would be stored again.
    parent = unrelated(host, folder)
    assert host.backup(tmp_path / "moved", [parent]).stats.bytes_stored < 60_000


@pytest.fixture(autouse=True)
def small_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks are a few kilobytes in these tests, and so is what is worth it."""
    monkeypatch.setattr("workers.backup.known.MIN_SIZE", 16 << 10)
    defaults = Replay.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "worth", 20_000)
