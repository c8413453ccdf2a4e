"""The table of files forgets rather than fail; what a backup makes of it is in workers/backup/test_known.py."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.chunkid import FileNames
from crypto.secret import SecretKey
from repository.access import VaultId
from repository.cache.files import Extent, FileTable, KnownFiles, _decoded, _encoded
from repository.errors import CacheDamaged

Process = Callable[[Callable[[], None]], int]
VAULT = VaultId(b"T" * 16, b"V" * 16)
NAMES = FileNames(SecretKey(bytes(range(32))))
NUMBERS = st.integers(0, (1 << 32) - 1)
EXTENTS = st.lists(st.tuples(st.binary(min_size=32, max_size=32), NUMBERS, NUMBERS, NUMBERS), max_size=8)
SOME = [(b"c" * 32, 900, 100, 700), (b"d" * 32, 500, 0, 300)]


def opened(folder: Path, most: int = 1 << 30) -> KnownFiles:
    table = FileTable(folder, VAULT, most)
    table.open()
    return KnownFiles(table, NAMES)


@given(digest=st.binary(min_size=32, max_size=32), extents=EXTENTS)
def test_an_entry_comes_back_for_its_content_and_its_length_alone(
    digest: bytes, extents: list[tuple[bytes, int, int, int]]
) -> None:
    size = sum(length for *_, length in extents)
    name, value = _encoded(NAMES, NAMES.name(digest, size), extents)
    assert _decoded(NAMES, name, value, size) == [Extent(*each) for each in extents]
    with pytest.raises(CacheDamaged, match="another length"):
        _decoded(NAMES, name, value, size + 1)
    with pytest.raises(CacheDamaged):
        _decoded(NAMES, NAMES.name(digest, size + 1), value, size)


@given(value=st.binary(max_size=200))
def test_what_was_made_without_the_key_is_damage(value: bytes) -> None:
    with pytest.raises(CacheDamaged):
        _decoded(NAMES, NAMES.name(bytes(32), 1), value, 1)


def test_processes_share_it_and_what_is_told_anew_counts(tmp_path: Path, process: Process) -> None:
    name = NAMES.name(bytes(32), 1000)

    def write() -> None:
        opened(tmp_path / "files").add([(name, SOME)])

    def read() -> None:
        known = opened(tmp_path / "files")
        assert known.find(name, 1000) == [Extent(*each) for each in SOME]
        assert known.find(known.name(bytes(32), 1001), 1001) == []
        known.add([(name, [(b"e" * 32, 1000, 0, 1000)])])
        assert [each.chunk_id for each in known.find(name, 1000)] == [b"e" * 32]

    assert [process(write), process(read)] == [0, 0]


def test_an_entry_under_another_key_ends_the_use_of_the_table(tmp_path: Path) -> None:
    table = FileTable(tmp_path / "files", VAULT)
    table.open()
    known, foreign = KnownFiles(table, NAMES), KnownFiles(table, FileNames(SecretKey(b"f" * 32)))
    ours, theirs = known.name(b"x" * 32, 1000), known.name(b"y" * 32, 1000)
    known.add([(ours, SOME)])
    foreign.add([(theirs, SOME)])
    assert known.find(ours, 1000)
    assert known.find(theirs, 1000) == []
    table.open()
    assert known.find(ours, 1000) == [], "what holds one entry of nobody's is not asked for another"


def test_one_that_has_grown_too_large_is_begun_anew(tmp_path: Path, process: Process) -> None:
    folder = tmp_path / "files"
    name = NAMES.name(bytes(32), 1000)

    def write() -> None:
        opened(folder).add([(name, SOME)] + [(os.urandom(16), SOME) for _ in range(500)])

    assert process(write) == 0
    (data,) = folder.glob("*/data.mdb")
    size = data.stat().st_size

    def within() -> None:
        assert opened(folder, most=size).find(name, 1000)

    def beyond() -> None:
        known = opened(folder, most=size - 1)
        assert known.find(name, 1000) == []
        known.add([(name, SOME)])
        assert known.find(name, 1000)

    assert [process(within), process(beyond)] == [0, 0]


def test_without_a_disk_it_knows_nothing_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "files").write_text("in the way")
    table = FileTable(tmp_path / "files", VAULT)
    for _ in range(3):
        table.open()
        table.add(NAMES, [(NAMES.name(bytes(32), 1000), SOME)])
        assert table.find(NAMES, NAMES.name(bytes(32), 1000), 1000) == []
    assert len(caplog.records) == 1
