"""Manifests from what is new and what is kept."""

import random
from typing import TYPE_CHECKING

from repository.builder import ManifestBuilder, absent_chunks, is_whole
from repository.index import Index
from repository.manifest import Entry
from repository.patch import merge
from repository.rules import check_manifest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.repository.conftest import Repo

DATA = random.Random(5).randbytes(90_000)
FILES = {b"/a": DATA[:40_000], b"/b": DATA[40_000:], b"/c": b""}


def test_kept_entries_refer_to_the_same_chunks(repo: "Repo", fill: "Callable[..., None]") -> None:
    parent, _ = repo.segment(FILES)
    stream = repo.stream(Index())
    builder = ManifestBuilder()
    builder.keep_entry(parent, parent.entries[0])
    stream.begin()
    fill(stream, b"new data")
    mark = stream.end()
    builder.add(Entry(b"/aa", "f", 8, b"s", b"m", [], mark.digest), mark)
    newer = Entry(b"/b", "f", 50_000, b"newer stamp", b"newer meta")
    builder.keep(newer, parent, parent.entries[1])
    builder.add(Entry(b"/d", "d", 0, b"s", b"m"))
    stream.finish()
    built = builder.build(stream)
    check_manifest(built)
    assert [entry.path for entry in built.entries] == [b"/a", b"/aa", b"/b", b"/d"]
    assert (built.entries[2].stamp, built.entries[2].meta) == (b"newer stamp", b"newer meta")
    for old, new in ((parent.entries[0], built.entries[0]), (parent.entries[1], built.entries[2])):
        assert new.digest == old.digest
        assert new.extents[1::3] == old.extents[1::3]
        assert new.extents[2::3] == old.extents[2::3]
        for mine, theirs in zip(new.extents[::3], old.extents[::3], strict=True):
            ids = (
                built.chunk_ids[32 * mine : 32 * mine + 32],
                parent.chunk_ids[32 * theirs : 32 * theirs + 32],
            )
            assert ids[0] == ids[1]
            assert built.chunk_lengths[mine] == parent.chunk_lengths[theirs]


def test_a_chunk_that_two_kept_files_share_is_in_the_table_once(repo: "Repo") -> None:
    parent, _ = repo.segment({b"/a": b"x" * 100, b"/b": b"y" * 100})
    assert len(parent.chunk_lengths) == 1
    stream = repo.stream(Index())
    builder = ManifestBuilder()
    for entry in parent.entries:
        builder.keep_entry(parent, entry)
    stream.finish()
    assert builder.build(stream) == parent


def test_building_twice_from_one_parent_does_not_change_it(repo: "Repo") -> None:
    parent, _ = repo.segment(FILES)
    before = [list(entry.extents) for entry in parent.entries]
    for _ in range(2):
        stream = repo.stream(Index())
        builder = ManifestBuilder()
        for entry in parent.entries:
            builder.keep_entry(parent, entry)
        stream.finish()
        check_manifest(builder.build(stream))
    assert [entry.extents for entry in parent.entries] == before


def test_files_whose_chunks_are_lost_are_not_kept(repo: "Repo") -> None:
    snapshot = repo.backup(FILES)
    parent, packs = repo.segment(FILES, repo.loaded())
    assert packs == []  # all of it was there already
    index = repo.loaded()
    assert snapshot.files == 3
    assert absent_chunks(parent, index) == frozenset()
    assert all(is_whole(entry, frozenset()) for entry in parent.entries)
    lost = absent_chunks(parent, Index())
    assert len(lost) == len(parent.chunk_lengths)
    assert [is_whole(entry, lost) for entry in parent.entries] == [False, False, True]
    assert [is_whole(entry, frozenset({0})) for entry in parent.entries] == [False, True, True]


def test_a_chunk_in_a_pack_without_an_index_object_counts_as_lost(repo: "Repo") -> None:
    parent, (pack,) = repo.segment(FILES)
    index = Index()
    index.add_pack(pack)
    assert len(absent_chunks(parent, index)) == len(parent.chunk_lengths)


def test_a_patch_has_no_more_chunks_than_its_entries_use(repo: "Repo", fill: "Callable[..., None]") -> None:
    parent, _ = repo.segment(FILES)
    ref = repo.put_manifest(parent)
    stream = repo.stream(Index())
    builders = (ManifestBuilder(), ManifestBuilder())
    builders[0].keep_entry(parent, parent.entries[1])
    for name, builder in zip((b"/bb", b"/cc"), builders, strict=True):
        stream.begin()
        fill(stream, name * 20_000)
        mark = stream.end()
        builder.add(Entry(name, "f", 60_000, b"s", b"m", [], mark.digest), mark)
    stream.finish()
    for builder in builders:
        patch = builder.build_patch(stream, ref, [])
        used = {number for entry in patch.entries for number in entry.extents[::3]}
        assert sorted(used) == list(range(len(patch.chunk_lengths)))
        found = merge(parent, patch)
        check_manifest(found)
        assert len(patch.chunk_lengths) < len(stream.chunks) + len(parent.chunk_lengths)
    assert [entry.path for entry in found.entries] == [*FILES, b"/cc"]
