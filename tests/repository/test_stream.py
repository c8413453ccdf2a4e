"""The stream: whatever goes in comes out again through the extents."""

import random
from typing import TYPE_CHECKING

import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from repository.chunker import Chunker
from repository.compression import Decompressor
from repository.errors import StoreUnreachable
from repository.fetch import Fetched, Fetcher
from repository.index import Index
from repository.manifest import PackSummary
from repository.stream import BUFFER, ChunkStream, Mark

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.repository.conftest import Repo

    Fill = Callable[..., None]

NOISE = random.Random(7).randbytes(400_000)


def content(repo: "Repo", stream: ChunkStream, index: Index) -> dict[int, bytes]:
    """The plain bytes of each chunk number, read back from the store."""
    inflate = Decompressor()
    by_id = {}
    for got in Fetcher(repo.store, repo.vault, repo.keys, index).fetch(c for c, _ in stream.chunks):
        assert isinstance(got, Fetched)
        by_id[got.chunk_id] = bytes(inflate.decompress(got.codec, got.payload, got.raw_len))
    return {number: by_id[chunk_id] for number, (chunk_id, _) in enumerate(stream.chunks)}


def assemble(extents: list[int], chunks: dict[int, bytes]) -> bytes:
    triples = zip(extents[::3], extents[1::3], extents[2::3], strict=True)
    return b"".join(chunks[number][offset : offset + length] for number, offset, length in triples)


def take(stream: ChunkStream, data: bytes, fill: "Fill", piece: int = 5000) -> Mark:
    stream.begin()
    fill(stream, data, piece)
    return stream.end()


step = st.tuples(
    st.sampled_from(["keep", "keep", "keep", "drop open", "drop ended"]),
    st.integers(0, len(NOISE) - 1),
    st.one_of(st.integers(0, 2000), st.integers(0, 120_000)),
    st.integers(1, 70_000),
    st.booleans(),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(steps=st.lists(step, max_size=12))
def test_any_sequence_of_files_comes_back(
    repo: "Repo", fill: "Fill", steps: list[tuple[str, int, int, int, bool]]
) -> None:
    index = Index()
    stream = repo.stream(index, repo.packs(target=100_000))
    kept: list[tuple[Mark, bytes]] = []
    for what, start, length, piece, flat in steps:
        data = bytes(length) if flat else NOISE[start : start + length]
        stream.begin()
        fill(stream, data, piece)
        if what == "drop open":
            stream.rollback()
            continue
        mark = stream.end()
        if what == "drop ended":
            stream.rollback(mark)
        else:
            kept.append((mark, data))
    stream.finish()
    chunks = content(repo, stream, index)
    assert [len(data) for data in chunks.values()] == [length for _, length in stream.chunks]
    for mark, data in kept:
        assert assemble(stream.extents(mark), chunks) == data
        assert mark.digest == blake3(data).digest()


def test_the_chunks_do_not_depend_on_how_the_bytes_arrive(repo: "Repo", fill: "Fill") -> None:
    expected = [
        (repo.ids.name(NOISE[at : at + length]), length)
        for at, length in Chunker(repo.ids.seed, repo.stream(Index())._chunker.sizes).cut(memoryview(NOISE))
    ]
    for piece in (1000, 65_536, 400_000):
        stream = repo.stream(Index())
        take(stream, NOISE, fill, piece)
        assert stream.finish() == expected


def test_what_is_stored_is_not_stored_again(repo: "Repo", fill: "Fill") -> None:
    index = Index()
    first = repo.stream(index)
    take(first, NOISE, fill)
    first.finish()
    packs = repo.stored("packs/")
    again = repo.stream(index)
    take(again, NOISE, fill)
    again.finish()
    assert again.chunks == first.chunks
    assert (again.chunks_new, again.bytes_stored) == (0, 0)
    assert again.chunks_reused == len(first.chunks)
    assert repo.stored("packs/") == packs


def test_a_chunk_twice_in_a_segment_is_stored_once(repo: "Repo", fill: "Fill") -> None:
    stream = repo.stream(Index())
    take(stream, bytes(200_000), fill)
    stream.finish()
    assert stream.chunks_new < len(stream.chunks)
    assert stream.chunks_new + stream.chunks_reused == len(stream.chunks)
    assert stream.bytes_read == 200_000


def test_packs_that_no_index_names_are_named_by_whoever_relies_on_them(repo: "Repo", fill: "Fill") -> None:
    """The attempt that stored them may have died: its packs must reach an index object through the new one."""
    index = Index()
    dead = repo.stream(index)
    take(dead, NOISE[:100_000], fill)
    dead.finish()
    heir = repo.stream(index)
    take(heir, NOISE[:150_000], fill)
    heir.finish()
    assert dead.stored[0] in heir.stored
    assert len(heir.stored) == 2
    fresh = Index()
    for summary in heir.stored:
        fresh.add_pack(summary)
    assert all(fresh.contains(chunk_id) for chunk_id, _ in heir.chunks)


def test_a_file_that_ended_is_safe_from_an_error_elsewhere(repo: "Repo", fill: "Fill") -> None:
    index = Index()
    stream = repo.stream(index)
    mark = take(stream, b"complete", fill)
    assert stream.rollback() is False  # no file is open
    stream.finish()
    assert assemble(stream.extents(mark), content(repo, stream, index)) == b"complete"


def test_only_the_last_file_can_be_dropped_by_its_mark(repo: "Repo", fill: "Fill") -> None:
    stream = repo.stream(Index())
    first = take(stream, b"first", fill)
    second = take(stream, b"second", fill)
    assert stream.rollback(first) is False
    assert stream.rollback(second) is True
    assert stream.rollback(second) is False
    stream.finish()
    assert stream.chunks == [(repo.ids.name(b"first"), 5)]


def test_a_file_that_is_partly_cut_stays(repo: "Repo", fill: "Fill") -> None:
    index = Index()
    stream = repo.stream(index)
    stream.begin()
    fill(stream, NOISE)
    assert stream.rollback() is False
    mark = take(stream, b"the next", fill)
    stream.finish()
    assert assemble(stream.extents(mark), content(repo, stream, index)) == b"the next"


def test_a_dropped_file_leaves_nothing_in_the_store(repo: "Repo", fill: "Fill") -> None:
    stream = repo.stream(Index())
    stream.begin()
    fill(stream, b"secret")
    assert stream.rollback() is True
    assert stream.finish() == []
    assert stream.stored == []
    assert repo.stored("packs/") == []


def test_the_space_is_never_empty(repo: "Repo") -> None:
    stream = repo.stream(Index())
    stream.begin()
    for at in range(0, len(NOISE) - 70_000, 70_000):
        space = stream.space()
        assert len(space) > 0
        count = min(len(space), 70_000)
        space[:count] = NOISE[at : at + count]
        stream.filled(count)


def test_a_store_that_fails_stops_the_stream(
    repo: "Repo", fill: "Fill", monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = repo.stream(Index(), repo.packs(target=10_000))

    def refuse(*_: object) -> PackSummary:
        raise StoreUnreachable("gone")

    monkeypatch.setattr(repo.store, "put", refuse)
    with pytest.raises(StoreUnreachable):
        take(stream, NOISE, fill)


def test_the_real_sizes_fit_the_real_buffer(repo: "Repo", fill: "Fill") -> None:
    index = Index()
    stream = ChunkStream(repo.store, repo.ids, Chunker(repo.ids.seed), index, repo.packs(target=8 << 20))
    data = random.Random(3).randbytes(BUFFER + (5 << 20))
    mark = take(stream, data, fill, 1 << 20)
    stream.finish()
    assert assemble(stream.extents(mark), content(repo, stream, index)) == data


def test_a_buffer_that_is_too_small_is_refused(repo: "Repo") -> None:
    with pytest.raises(ValueError, match="too small"):
        ChunkStream(repo.store, repo.ids, Chunker(repo.ids.seed), Index(), repo.packs(), bytearray(1 << 20))
