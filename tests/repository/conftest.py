"""Real stores in temporary folders, and keys that are held in memory."""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path

import pytest

from crypto.chunkid import ChunkIds
from crypto.keyrecord import CHUNK_ID, DEK, KeyRecord
from crypto.secret import SecretKey
from repository.access import VaultId
from repository.builder import ManifestBuilder
from repository.cache.index import HostIndex
from repository.catalog import write_manifest, write_snapshot
from repository.chunker import Chunker, ChunkSizes
from repository.directory import DirectoryPruner
from repository.index import ChunkIndex, Index, read_index, write_indexes
from repository.layout import id_of, segment_id
from repository.manifest import Entry, Manifest, ManifestRef, PackSummary, Snapshot
from repository.pack import PackWriter
from repository.rules import path_key
from repository.stream import ChunkStream
from repository.usage import Subject
from repository.vault import new_config, write_config, write_key_record

JOB = b"J" * 16
SMALL = ChunkSizes(1024, 4096, 16384)
"""So that a few kilobytes make several chunks."""


class HeldKeys:
    """A KeyRing over keys made here; epochs without a key raise KeyError, as no test may reach them."""

    def __init__(self) -> None:
        self.deks = {1: SecretKey.generate(), 2: SecretKey.generate()}
        self.chunk_key = SecretKey(bytes(range(32)))

    def dek(self, epoch: int) -> SecretKey:
        return self.deks[epoch]

    def chunk_id_key(self) -> SecretKey:
        return self.chunk_key


class Repo:
    """A vault in a folder, and the few steps of a backup that the tests share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = DirectoryPruner(folder, create=True)
        self.vault = VaultId(b"T" * 16, b"V" * 16)
        self.keys = HeldKeys()
        self.meta = b"meta"
        self.ids = ChunkIds(self.keys.chunk_key)
        for purpose, epoch in ((CHUNK_ID, 0), (DEK, 1)):
            record = KeyRecord(1, *self.vault, purpose, epoch, "cmk", "", b"wrapped", 0)
            write_key_record(self.store, record)
        write_config(self.store, self.vault, self.keys.dek(1), new_config(1))

    @property
    def subject(self) -> Subject:
        return Subject(self.store, self.vault, self.keys)

    @property
    def room(self) -> Path:
        """Where work may be done on disk."""
        return self.folder.parent / "room"

    def packs(self, target: int = 1 << 20) -> PackWriter:
        return PackWriter(self.vault, 1, self.keys, target)

    def stream(self, index: ChunkIndex, packs: PackWriter | None = None) -> ChunkStream:
        chunker = Chunker(self.ids.seed, SMALL)
        buffer = bytearray(4 * SMALL.largest)
        return ChunkStream(self.store, self.ids, chunker, index, packs or self.packs(), buffer)

    def segment(
        self, files: Mapping[bytes, bytes], index: ChunkIndex | None = None
    ) -> tuple[Manifest, list[PackSummary]]:
        """Store the files' chunks; the manifest is built and not stored."""
        stream = self.stream(Index() if index is None else index)
        builder = ManifestBuilder()
        for path in sorted(files, key=path_key):
            data = files[path]
            stream.begin()
            feed(stream, data)
            mark = stream.end()
            builder.add(Entry(path, "f", len(data), b"stamp", self.meta, [], mark.digest), mark)
        stream.finish()
        return builder.build(stream), stream.stored

    def backup(self, files: Mapping[bytes, bytes], number: int = 0) -> Snapshot:
        """A whole committed snapshot of the files, in one segment."""
        index = Index()
        index.refresh(self.store, self.vault, self.keys)
        manifest, packs = self.segment(files, index)
        ref = self.put_manifest(manifest, number)
        write_indexes(self.store, self.vault, self.keys, 1, JOB, 1 + number, packs)
        return self.commit([ref], number)

    def publish(self, packs: list[PackSummary]) -> None:
        """Put packs into an index object of their own."""
        if packs:
            number = 1000 + len(self.stored("index/"))
            write_indexes(self.store, self.vault, self.keys, 1, JOB, number, packs)

    def put_manifest(self, manifest: Manifest, number: int = 0) -> ManifestRef:
        return write_manifest(self.store, self.vault, self.keys, 1, segment_id(JOB, 1, number), manifest)

    def commit(self, refs: list[ManifestRef], number: int = 0) -> Snapshot:
        snapshot = Snapshot(
            id=number.to_bytes(16, "big"),
            time_ns=number,
            hostname="host",
            paths=[b"/"],
            excludes=[],
            tags=[],
            parent=b"",
            manifests=refs,
            files=sum(ref.files for ref in refs),
            dirs=sum(ref.dirs for ref in refs),
            bytes=sum(ref.bytes for ref in refs),
            errors=[],
        )
        write_snapshot(self.store, self.vault, self.keys, 1, snapshot)
        return snapshot

    def tables(self) -> list[PackSummary]:
        """Of the packs that index objects name."""
        names = self.stored("index/")
        return [table for name in names for table in read_index(*self.subject, id_of(name))]

    def loaded(self) -> Index:
        index = Index()
        self.refresh(index)
        return index

    def refresh(self, index: ChunkIndex) -> None:
        index.refresh(self.store, self.vault, self.keys)

    def stored(self, prefix: str) -> list[str]:
        return list(self.store.list(prefix))

    def damage(self, name: str, change: Callable[[bytes], bytes]) -> None:
        path = self.folder / name
        path.write_bytes(change(path.read_bytes()))


def feed(stream: ChunkStream, data: bytes, piece: int = 5000) -> None:
    """Put data into the stream as a source does, at most `piece` bytes at a time."""
    at = 0
    while at < len(data):
        space = stream.space()
        count = min(piece, len(space), len(data) - at)
        space[:count] = data[at : at + count]
        stream.filled(count)
        at += count


@pytest.fixture
def repo() -> Iterator[Repo]:
    # In memory where that is possible: every object is synced, and these tests are not about the disk.
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if os.path.isdir(memory) else None) as folder:
        yield Repo(Path(folder, "repo"))


@pytest.fixture(params=["memory", "host"])
def make_index(request: pytest.FixtureRequest, repo: Repo) -> Callable[[], ChunkIndex]:
    """Makes empty indexes of each kind; those of a host each have a cache of their own."""
    if request.param == "memory":
        return Index
    numbers = count()
    return lambda: HostIndex(repo.folder.parent / "cache" / str(next(numbers)), repo.vault)


@pytest.fixture
def fill() -> Callable[..., None]:
    return feed
