"""The index that a host shares; what it has in common with the one in memory is in tests/repository/test_index.py."""

import os
import random
import resource
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from crypto.sealing import sealed_length
from repository.access import VaultId
from repository.cache import environment
from repository.cache.index import HostIndex
from repository.compression import RAW
from repository.errors import ChunkMissing, IndexTooLarge, RepositoryError
from repository.index import write_indexes
from repository.layout import id_of
from repository.manifest import PackSummary
from repository.pack import GRAIN, RECORD
from repository.prunes import Struck

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from repository.store import ReadStore
    from tests.repository.conftest import Repo

    Process = Callable[[Callable[[], None]], int]

JOB = b"J" * 16
PACKS = 20
CHUNKS = 40


def chunk(number: int) -> bytes:
    return random.Random(number).randbytes(32)


def pack(number: int) -> PackSummary:
    """Pack `number` holds the chunks from CHUNKS * number on."""
    at, records = 62, b""
    for each in range(CHUNKS):
        records += RECORD.pack(chunk(CHUNKS * number + each), at, sealed_length(100 + each), 100 + each, RAW)
        at += sealed_length(100 + each)
    return PackSummary(number.to_bytes(16, "big"), 1 + number % 2, (at // GRAIN + 2) * GRAIN, records)


def publish(repo: "Repo", numbers: "range | list[int]", fence: int = 1) -> str:
    packs = [pack(number) for number in numbers]
    return write_indexes(repo.store, repo.vault, repo.keys, 1, JOB, fence, packs)[0]


def host_index(repo: "Repo", in_memory: int = 2_000_000) -> HostIndex:
    return HostIndex(folder_of(repo), repo.vault, in_memory)


def folder_of(repo: "Repo") -> Path:
    return repo.folder.parent / "cache" / "vault"


def data_file(repo: "Repo") -> Path:
    (found,) = folder_of(repo).glob("*/data.mdb")
    return found


def assert_right(index: HostIndex, packs: int = PACKS) -> None:
    for number in range(packs * CHUNKS):
        place = index.locate(chunk(number))
        assert (place.pack, place.raw_len) == (
            (number // CHUNKS).to_bytes(16, "big"),
            100 + number % CHUNKS,
        )
        assert place.epoch == 1 + number // CHUNKS % 2
    for number in range(packs * CHUNKS, packs * CHUNKS + 50):
        assert not index.contains(chunk(number))


class CountingStore:
    """Writes a line into a file for each index object that is read, whichever process reads it."""

    def __init__(self, store: "ReadStore", log: Path) -> None:
        self._store = store
        self._log = log

    def __getattr__(self, name: str) -> object:
        def call(*arguments: object) -> object:
            if name != "list" and str(arguments[0]).startswith("index/"):
                with self._log.open("a") as file:
                    file.write(f"{name} {arguments[0]}\n")
            return getattr(self._store, name)(*arguments)

        return call

    def lines(self) -> list[str]:
        return self._log.read_text().splitlines() if self._log.exists() else []


def test_an_index_object_is_read_once_by_all_processes_of_a_host(
    repo: "Repo", process: "Process", tmp_path: Path
) -> None:
    store = CountingStore(repo.store, tmp_path / "reads")

    def refresh() -> None:
        index = host_index(repo)
        index.refresh(store, repo.vault, repo.keys)  # type: ignore[arg-type]
        assert index.contains(chunk(0))

    publish(repo, range(10))
    assert process(refresh) == 0
    first = store.lines()
    assert process(refresh) == 0
    assert store.lines() == first
    publish(repo, range(10, PACKS), fence=2)
    assert [process(refresh) for _ in range(3)] == [0, 0, 0]
    assert len(store.lines()) == 2 * len(first)


def test_processes_that_come_at_the_same_time_wait_for_the_first(repo: "Repo", tmp_path: Path) -> None:
    publish(repo, range(PACKS))
    store = CountingStore(repo.store, tmp_path / "reads")
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                index = host_index(repo)
                index.refresh(store, repo.vault, repo.keys)  # type: ignore[arg-type]
                assert_right(index)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert len(set(store.lines())) == len(store.lines())


def test_nobody_else_can_look_into_it(repo: "Repo") -> None:
    publish(repo, range(2))
    repo.refresh(host_index(repo))
    entries = [folder_of(repo).parent, folder_of(repo), *folder_of(repo).rglob("*")]
    assert len(entries) == 8
    assert {path.stat().st_mode & 0o777 for path in entries if path.is_dir()} == {0o700}
    assert {path.stat().st_mode & 0o077 for path in data_file(repo).parent.iterdir()} == {0}


def test_a_folder_that_others_may_write_is_not_used(repo: "Repo") -> None:
    publish(repo, range(PACKS))
    repo.refresh(host_index(repo))
    folder_of(repo).chmod(0o770)
    index = host_index(repo)
    repo.refresh(index)
    assert not index._usable
    assert_right(index)


def test_those_who_read_a_generation_that_was_replaced_take_up_the_new_one(
    repo: "Repo", process: "Process"
) -> None:
    old = publish(repo, [0, 1])
    index = host_index(repo)
    repo.refresh(index)
    assert index.contains(chunk(CHUNKS))
    publish(repo, [0], fence=2)
    repo.store.delete(old)
    assert process(lambda: repo.refresh(host_index(repo))) == 0
    assert index.contains(chunk(CHUNKS))  # as of its refresh
    repo.refresh(index)
    assert not index.contains(chunk(CHUNKS))
    assert len(list(folder_of(repo).glob("*/data.mdb"))) == 1


def test_a_cache_that_is_cut_short_is_made_again(repo: "Repo") -> None:
    publish(repo, range(PACKS))
    repo.refresh(host_index(repo))
    whole = data_file(repo).read_bytes()
    for length in (0, 100, 4096, 8192, 12_288, len(whole) // 2, len(whole) - 4096, len(whole) - 1):
        os.truncate(data_file(repo), length)
        index = host_index(repo)
        repo.refresh(index)
        assert_right(index)
        index.close()


def test_flipped_bits_never_lead_to_a_wrong_answer(
    repo: "Repo", process: "Process", monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(repo, range(PACKS))
    dice = random.Random(1)

    def use() -> None:
        index = host_index(repo)
        repo.refresh(index)
        assert_right(index)
        assert index._usable

    assert process(use) == 0
    whole = data_file(repo).read_bytes()
    # Everywhere, and in the headers and node tables that begin each page.
    places = [dice.randrange(len(whole)) for _ in range(30)]
    places += [page + dice.randrange(64) for page in range(0, len(whole), 4096)]
    for place in places:
        file = data_file(repo)
        flipped = bytearray(file.read_bytes())
        flipped[place % len(flipped)] ^= 1 << dice.randrange(8)
        file.write_bytes(flipped)
        # A damaged page may kill whoever reads it, but only once.
        assert 0 in (process(use), process(use))


def test_the_cache_of_another_vault_is_not_used(repo: "Repo") -> None:
    name = publish(repo, range(PACKS))
    other = HostIndex(folder_of(repo), VaultId(b"T" * 16, b"W" * 16))
    with other._disk.exclusive():
        other._disk.build([id_of(name)], lambda ids: [(each, [pack(99)]) for each in ids])
    other.close()
    index = host_index(repo)
    repo.refresh(index)
    assert not index.contains(chunk(99 * CHUNKS))
    assert_right(index)


def test_without_a_disk_all_of_it_is_in_memory(repo: "Repo") -> None:
    publish(repo, range(PACKS))
    folder_of(repo).parent.mkdir()
    folder_of(repo).write_text("in the way")
    index = host_index(repo)
    repo.refresh(index)
    assert_right(index)
    index.add_pack(pack(PACKS))
    assert index.unindexed_pack_of(chunk(PACKS * CHUNKS)) == pack(PACKS)
    index.forget_unindexed()
    repo.refresh(index)
    assert_right(index)


def test_one_that_is_too_large_for_memory_is_not_loaded_and_says_why(repo: "Repo", tmp_path: Path) -> None:
    for number in range(PACKS):
        publish(repo, [number], fence=1 + number)
    folder_of(repo).parent.mkdir()
    folder_of(repo).write_text("in the way")
    store = CountingStore(repo.store, tmp_path / "log")
    index = host_index(repo, in_memory=2 * CHUNKS)
    for _ in range(2):
        with pytest.raises(IndexTooLarge, match="cannot be used: File exists") as caught:
            index.refresh(store, repo.vault, repo.keys)  # type: ignore[arg-type]
        assert "`cache`" in caught.value.remedy
    assert len(store.lines()) == 2 * 3, "no more than it takes to see that"
    assert not index.contains(chunk(0))


@pytest.mark.parametrize("learnt", [0, 5])
def test_a_full_disk_loses_nothing(repo: "Repo", process: "Process", learnt: int) -> None:
    publish(repo, range(max(1, learnt)))
    if learnt:
        repo.refresh(host_index(repo))
    publish(repo, range(max(1, learnt), PACKS), fence=2)

    def use(limit: int, *, usable: bool) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        index = host_index(repo)
        repo.refresh(index)
        assert index._usable is usable
        assert_right(index)

    full = data_file(repo).stat().st_size if learnt else 60_000
    assert process(lambda: use(full, usable=False)) == 0
    assert process(lambda: use(1 << 30, usable=True)) == 0


def test_what_a_process_began_to_learn_and_is_gone_is_not_known(
    repo: "Repo", process: "Process", die: "Callable[[], None]"
) -> None:
    publish(repo, [0])
    repo.refresh(host_index(repo))
    second = publish(repo, [1], fence=2)

    def learn() -> None:
        index = host_index(repo)
        insert = index._disk._insert

        def insert_and_die(*arguments: object, **named: object) -> None:
            insert(*arguments, **named)  # type: ignore[arg-type]
            die()

        index._disk._insert = insert_and_die  # type: ignore[method-assign]
        repo.refresh(index)

    assert process(learn) == -9
    repo.store.delete(second)
    index = host_index(repo)
    repo.refresh(index)
    assert not index.knows_pack(pack(1).id)
    assert not index.contains(chunk(CHUNKS))
    index.add_pack(pack(1))
    assert index.unindexed_pack_of(chunk(CHUNKS)) == pack(1)


def test_what_a_process_began_to_learn_is_learnt_by_the_next(
    repo: "Repo", process: "Process", die: "Callable[[], None]"
) -> None:
    publish(repo, range(3))
    repo.refresh(host_index(repo))
    publish(repo, range(3, PACKS), fence=2)

    def learn() -> None:
        index = host_index(repo)
        index._disk._insert = lambda *_, **__: die()  # type: ignore[method-assign]
        repo.refresh(index)

    assert process(learn) == -9
    index = host_index(repo)
    repo.refresh(index)
    assert_right(index)


def test_a_cache_that_a_process_died_of_is_made_again(
    repo: "Repo", process: "Process", die: "Callable[[], None]"
) -> None:
    publish(repo, range(PACKS))

    def use() -> None:
        index = host_index(repo)
        repo.refresh(index)
        assert_right(index)

    def die_in(work: "Callable[[HostIndex], object]") -> None:
        index = host_index(repo)
        repo.refresh(index)
        work(index)
        die()

    def read(index: HostIndex) -> None:
        index._disk._env._run(lambda _: die(), write=False)

    def write(index: HostIndex) -> None:
        index._disk._env._run(lambda _: die(), write=True)

    assert process(use) == 0
    before = data_file(repo)
    for harmless in (lambda index: index.contains(chunk(0)), write):
        assert process(lambda work=harmless: die_in(work)) == -9  # type: ignore[misc]
        assert process(use) == 0
        assert data_file(repo) == before
    for harmful in (read, write):
        before = data_file(repo)
        if harmful is write:
            assert process(lambda: die_in(write)) == -9
        assert process(lambda work=harmful: die_in(work)) == -9  # type: ignore[misc]
        assert process(use) == 0
        assert data_file(repo) != before


def test_the_map_grows_also_in_those_that_did_not_grow_it(
    repo: "Repo", process: "Process", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "MAP_START", 64 << 10)
    publish(repo, [0])
    index = host_index(repo)
    repo.refresh(index)
    publish(repo, range(1, PACKS), fence=2)
    assert process(lambda: repo.refresh(host_index(repo))) == 0
    assert data_file(repo).stat().st_size > 64 << 10
    assert index.contains(chunk(CHUNKS * (PACKS - 1)))
    repo.refresh(index)
    assert_right(index)


def test_a_large_cache_is_mapped_anew_now_and_then(
    repo: "Repo", process: "Process", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "LARGE", 1)
    monkeypatch.setattr(environment, "READS_A_MAPPING", 7)
    old = publish(repo, range(PACKS))
    index = host_index(repo)
    repo.refresh(index)
    assert_right(index)
    publish(repo, range(PACKS), fence=2)
    repo.store.delete(old)
    assert process(lambda: repo.refresh(host_index(repo))) == 0
    assert_right(index)  # from the generation that took the place of the one it had open


def test_a_chunk_that_is_really_missing_is_missing(repo: "Repo", tmp_path: Path) -> None:
    publish(repo, range(PACKS))
    store = CountingStore(repo.store, tmp_path / "reads")
    index = host_index(repo)
    index.refresh(store, repo.vault, repo.keys)  # type: ignore[arg-type]
    before = store.lines()
    for _ in range(2):
        with pytest.raises(ChunkMissing):
            index.locate(chunk(PACKS * CHUNKS))
    assert store.lines() == before


def test_an_object_that_cannot_be_read_is_tried_again_each_time(repo: "Repo") -> None:
    publish(repo, range(3))
    bad = publish(repo, range(3, PACKS), fence=2)
    whole = (repo.folder / bad).read_bytes()
    repo.damage(bad, lambda data: data[:-1])
    told: list[str] = []
    index = host_index(repo)
    for _ in range(2):
        index.refresh(repo.store, repo.vault, repo.keys, lambda name, _: told.append(name))
    assert told == [bad, bad]
    assert index.contains(chunk(0))
    with pytest.raises(RepositoryError):
        repo.refresh(host_index_elsewhere(repo))
    repo.damage(bad, lambda _: whole)
    repo.refresh(index)
    assert_right(index)


def test_a_cache_that_others_replace_again_and_again_is_no_broken_disk(
    repo: "Repo", process: "Process", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "LARGE", 0)
    monkeypatch.setattr(environment, "READS_A_MAPPING", 10)
    old = publish(repo, range(PACKS))
    index = host_index(repo, in_memory=100)
    repo.refresh(index)
    for fence in (2, 3, 4):
        new = publish(repo, range(PACKS), fence=fence)
        repo.store.delete(old)
        old = new
        assert process(lambda: repo.refresh(host_index(repo))) == 0
        assert_right(index)


def test_a_process_that_has_not_seen_a_mark_takes_up_the_tables_of_one_that_has(
    repo: "Repo", process: "Process", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "LARGE", 0)
    monkeypatch.setattr(environment, "READS_A_MAPPING", 10)
    publish(repo, range(PACKS))
    index = host_index(repo, in_memory=100)
    repo.refresh(index)
    struck = Struck(frozenset([f"prunes/{'00' * 16}/mark"]), frozenset([b"x" * 16]), frozenset())
    for _ in range(3):
        assert process(lambda: host_index(repo).refresh(repo.store, repo.vault, repo.keys, None, struck)) == 0
        assert_right(index)


def host_index_elsewhere(repo: "Repo") -> HostIndex:
    return HostIndex(folder_of(repo).with_name("elsewhere"), repo.vault)


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> "Iterator[None]":
    """LMDB opens a folder once in a process: the next index of a test closes the one before."""
    opened: list[HostIndex] = []
    real = HostIndex._refresh_disk

    def refresh(index: HostIndex, source: object) -> None:
        for other in opened:
            if other is not index:
                other._disk._env.close()
        opened[:] = [index]
        real(index, source)  # type: ignore[arg-type]

    monkeypatch.setattr(HostIndex, "_refresh_disk", refresh)
    yield
    for index in opened:
        index.close()
