"""Packs: what is in the store, what a reader refuses."""

import os
import random
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crypto.header import Kind
from crypto.sealing import open_sealed, seal, sealed_length
from crypto.secret import SecretKey
from repository.access import VaultId
from repository.chunker import MAX_CHUNK
from repository.compression import RAW, ZSTD
from repository.directory import DirectoryWriter
from repository.errors import (
    ObjectDamaged,
    ObjectMissing,
    RepositoryError,
    StoreUnreachable,
    TooLarge,
    UnknownFormat,
    VaultMismatch,
    WrongObject,
)
from repository.layout import pack_name
from repository.manifest import PackSummary
from repository.pack import (
    FOOTER_LENGTH,
    GRAIN,
    MAX_PACK,
    MAX_RECORDS,
    RECORD,
    TARGET,
    PackWriter,
    check_summary,
    read_table,
)

if TYPE_CHECKING:
    from tests.repository.conftest import Repo

HEADER = 62


def chunk(number: int) -> bytes:
    return number.to_bytes(32, "big")


def write(repo: "Repo", *lengths: int, raw: bool = True) -> PackSummary:
    writer = repo.packs()
    for number, length in enumerate(lengths):
        writer.add(chunk(number), bytes(length), length if raw else 2 * length, RAW if raw else ZSTD)
    summary = writer.flush(repo.store)
    assert summary is not None
    return summary


def table(repo: "Repo", pack_id: bytes) -> PackSummary:
    return read_table(repo.store, repo.vault, repo.keys, pack_id)


def test_a_record_is_as_the_format_has_it() -> None:
    record = RECORD.pack(b"\x11" * 32, 62, 0x01020304, 5, 1)
    assert record == b"\x11" * 32 + bytes.fromhex("0000003e 01020304 00000005 01")
    assert RECORD.size == 45


def test_the_table_is_known_from_the_store_alone(repo: "Repo") -> None:
    for lengths in ((1,), (1, 100_000, 3), (16384,) * 5, tuple(range(1, 400))):
        summary = write(repo, *lengths)
        assert table(repo, summary.id) == summary
        assert summary.size == repo.store.size(pack_name(summary.id))


def test_the_chunks_open_where_the_table_says(repo: "Repo") -> None:
    writer = repo.packs()
    bodies = [os.urandom(length) for length in (5, 70_000, 1)]
    for number, body in enumerate(bodies):
        writer.add(chunk(number), body, len(body), RAW)
    summary = writer.flush(repo.store)
    assert summary is not None
    for (chunk_id, offset, sealed, raw, _), body in zip(
        RECORD.iter_unpack(summary.records), bodies, strict=True
    ):
        message = repo.store.get_range(pack_name(summary.id), offset, sealed)
        context = repo.vault.header(Kind.CHUNK, 1, chunk_id).encode()
        assert open_sealed(repo.keys.dek(1), context, message) == body
        assert raw == len(body)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(lengths=st.lists(st.integers(1, 60_000), min_size=1, max_size=30))
def test_every_pack_is_a_multiple_of_the_grain(repo: "Repo", lengths: list[int]) -> None:
    summary = write(repo, *lengths)
    assert summary.size % GRAIN == 0
    assert summary.size - sum(map(sealed_length, lengths)) < 3 * GRAIN
    assert table(repo, summary.id) == summary


def test_sizes_around_every_grain_can_be_padded(repo: "Repo") -> None:
    # Some sealed lengths do not exist (a whole piece without its tag): the padding steps over them.
    for length in range(GRAIN - 500, GRAIN + 100, 7):
        assert write(repo, length).size % GRAIN == 0


def test_nothing_added_is_nothing_stored(repo: "Repo") -> None:
    assert repo.packs().flush(repo.store) is None
    assert repo.stored("packs/") == []


def test_it_is_full_at_the_target_and_still_takes_one_chunk_before(repo: "Repo") -> None:
    writer = repo.packs(target=100_000)
    writer.add(chunk(0), bytes(90_000), 90_000, RAW)
    assert not writer.full
    noise = random.Random(0).randbytes(MAX_CHUNK)
    writer.add(chunk(1), noise, len(noise), RAW)
    assert bool(writer.full)
    summary = writer.flush(repo.store)
    assert summary is not None
    assert table(repo, summary.id) == summary
    assert not writer.full


def test_a_pack_has_a_most_of_records(repo: "Repo") -> None:
    writer = repo.packs(target=TARGET)
    for number in range(MAX_RECORDS):
        writer.add(chunk(number), b"x", 1, RAW)
    assert writer.full
    with pytest.raises(TooLarge):
        writer.add(chunk(MAX_RECORDS), b"x", 1, RAW)
    summary = writer.flush(repo.store)
    assert summary is not None
    assert table(repo, summary.id) == summary
    assert summary.size <= MAX_PACK


@pytest.mark.parametrize("raw_len", [0, MAX_CHUNK + 1])
def test_chunks_of_impossible_lengths_are_not_taken(repo: "Repo", raw_len: int) -> None:
    with pytest.raises(TooLarge):
        repo.packs().add(chunk(0), b"x", raw_len, ZSTD)


def test_the_key_is_asked_for_at_each_chunk(repo: "Repo") -> None:
    writer = repo.packs()
    writer.add(chunk(0), b"x", 1, RAW)
    del repo.keys.deks[1]
    with pytest.raises(KeyError):
        writer.add(chunk(1), b"x", 1, RAW)
    with pytest.raises(KeyError):
        writer.flush(repo.store)


def test_a_flush_that_failed_can_be_repeated(repo: "Repo") -> None:
    class Failing(DirectoryWriter):
        def put(self, _name: str, _parts: object) -> None:
            raise StoreUnreachable("gone")

    writer = repo.packs()
    writer.add(chunk(0), b"x", 1, RAW)
    with pytest.raises(StoreUnreachable):
        writer.flush(Failing(repo.folder))
    summary = writer.flush(repo.store)
    assert summary is not None
    assert table(repo, summary.id) == summary


def test_a_missing_pack_is_missing(repo: "Repo") -> None:
    with pytest.raises(ObjectMissing):
        table(repo, b"?" * 16)


def test_swapped_packs_are_refused(repo: "Repo") -> None:
    one, two = write(repo, 100), write(repo, 200)
    first, second = (repo.folder / pack_name(summary.id) for summary in (one, two))
    a, b = first.read_bytes(), second.read_bytes()
    first.write_bytes(b)
    with pytest.raises(WrongObject):
        table(repo, one.id)
    first.write_bytes(a[:HEADER] + b[HEADER:])  # and re-labelled
    with pytest.raises(ObjectDamaged):
        table(repo, one.id)


def test_a_pack_of_another_vault_or_version_is_refused(repo: "Repo") -> None:
    summary = write(repo, 100)
    with pytest.raises(VaultMismatch):
        read_table(repo.store, VaultId(b"T" * 16, b"W" * 16), repo.keys, summary.id)
    repo.damage(pack_name(summary.id), lambda data: data[:4] + b"\0\2" + data[6:])
    with pytest.raises(UnknownFormat, match="version 2"):
        table(repo, summary.id)


def test_a_pack_of_another_kind_is_refused(repo: "Repo") -> None:
    summary = write(repo, 100)
    other = repo.vault.header(Kind.INDEX, 1, summary.id).encode()
    repo.damage(pack_name(summary.id), lambda data: other + data[len(other) :])
    with pytest.raises(WrongObject):
        table(repo, summary.id)


def test_truncated_and_extended_packs_are_refused(repo: "Repo") -> None:
    summary = write(repo, 40_000, 50_000)
    name = pack_name(summary.id)
    original = (repo.folder / name).read_bytes()
    for data in (
        b"",
        original[:-1],
        original[:-GRAIN],
        original[:GRAIN],
        original + b"\0" * GRAIN,
        original[GRAIN:],
        original[:HEADER],
    ):
        (repo.folder / name).write_bytes(data)
        with pytest.raises(RepositoryError):
            table(repo, summary.id)


def test_no_byte_of_header_table_and_footer_can_change(repo: "Repo") -> None:
    summary = write(repo, 100)
    name = pack_name(summary.id)
    original = (repo.folder / name).read_bytes()
    table_starts = HEADER + sealed_length(100)
    sealed = range(table_starts, len(original), 97)
    for at in [*range(HEADER), *sealed, *range(len(original) - FOOTER_LENGTH, len(original))]:
        (repo.folder / name).write_bytes(original[:at] + bytes([original[at] ^ 0x10]) + original[at + 1 :])
        with pytest.raises((RepositoryError, KeyError)):
            table(repo, summary.id)


def forge(repo: "Repo", footer: bytes, plain: bytes, body: int = 100) -> bytes:
    """A pack by somebody who holds the key and breaks the rules."""
    pack_id = b"F" * 16
    key = repo.keys.dek(1)
    header = repo.vault.header(Kind.PACK, 1, pack_id)
    sealed = seal(key, header._replace(kind=Kind.PACK_TABLE).encode(), plain)
    end = seal(key, header._replace(kind=Kind.PACK_FOOTER).encode(), footer)
    repo.store.put(pack_name(pack_id), [header.encode(), bytes(sealed_length(body)), sealed, end])
    return pack_id


def padded(plain: bytes, body: int = 100) -> bytes:
    rest = -(HEADER + sealed_length(body) + sealed_length(len(plain)) + FOOTER_LENGTH) % GRAIN
    return plain + bytes(rest)


def test_a_lawful_forgery_is_what_the_next_tests_spoil(repo: "Repo") -> None:
    plain = padded(RECORD.pack(chunk(0), HEADER, sealed_length(100), 100, RAW))
    pack_id = forge(repo, struct.pack(">II", sealed_length(len(plain)), 1), plain)
    assert table(repo, pack_id).records == plain[:45]


@pytest.mark.parametrize(
    ("record", "count"),
    [
        (RECORD.pack(chunk(0), HEADER, sealed_length(100), 100, RAW), 0),
        (RECORD.pack(chunk(0), HEADER, sealed_length(100), 100, RAW), 2),
        (RECORD.pack(chunk(0), HEADER, sealed_length(100), 100, RAW), 0xFFFFFFFF),
        (RECORD.pack(chunk(0), HEADER - 1, sealed_length(100), 100, RAW), 1),
        (RECORD.pack(chunk(0), HEADER, sealed_length(100) - 1, 99, RAW), 1),
        (RECORD.pack(chunk(0), HEADER, sealed_length(100) - 1, 100, RAW), 1),
        (RECORD.pack(chunk(0), HEADER, sealed_length(100), 100, 2), 1),
        (RECORD.pack(chunk(0), HEADER, sealed_length(100), 99, ZSTD), 1),
        (RECORD.pack(chunk(0), HEADER, sealed_length(100), 0, ZSTD), 1),
        (RECORD.pack(chunk(0), HEADER, sealed_length(100), MAX_CHUNK + 1, ZSTD), 1),
        (RECORD.pack(chunk(0), HEADER, 0xFFFFFFFF, 100, ZSTD), 1),
        (RECORD.pack(chunk(0), HEADER, sealed_length(100), 100, RAW) + b"\1", 1),
    ],
)
def test_tables_that_break_a_rule_are_refused(repo: "Repo", record: bytes, count: int) -> None:
    plain = padded(record)
    pack_id = forge(repo, struct.pack(">II", sealed_length(len(plain)), count), plain)
    with pytest.raises(ObjectDamaged):
        table(repo, pack_id)


@pytest.mark.parametrize("footer", [b"", b"1234567", b"123456789", struct.pack(">II", 0, 1), b"\xff" * 8])
def test_footers_that_break_a_rule_are_refused(repo: "Repo", footer: bytes) -> None:
    plain = padded(RECORD.pack(chunk(0), HEADER, sealed_length(100), 100, RAW))
    body = GRAIN - (HEADER + sealed_length(len(plain)) + sealed_length(len(footer))) % GRAIN
    pack_id = b"F" * 16
    header = repo.vault.header(Kind.PACK, 1, pack_id)
    key = repo.keys.dek(1)
    sealed = seal(key, header._replace(kind=Kind.PACK_TABLE).encode(), plain)
    end = seal(key, header._replace(kind=Kind.PACK_FOOTER).encode(), footer)
    repo.store.put(pack_name(pack_id), [header.encode(), bytes(body), sealed, end])
    with pytest.raises(ObjectDamaged):
        table(repo, pack_id)


@given(records=st.binary(max_size=200), size=st.integers(0, 1 << 40))
def test_random_tables_are_refused_and_nothing_worse(records: bytes, size: int) -> None:
    with pytest.raises(ObjectDamaged):
        check_summary(PackSummary(b"P" * 16, 1, size, records))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.binary(min_size=200, max_size=400), headed=st.booleans())
def test_random_packs_are_refused_and_nothing_worse(repo: "Repo", data: bytes, headed: bool) -> None:
    pack_id = b"R" * 16
    start = repo.vault.header(Kind.PACK, 1, pack_id).encode() if headed else b""
    path = repo.folder / pack_name(pack_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((start + data).ljust(GRAIN - len(data), b"\7") + data)
    with pytest.raises(RepositoryError):
        table(repo, pack_id)


def test_the_real_buffer_is_made_for_the_real_target(repo: "Repo") -> None:
    writer = PackWriter(repo.vault, 1, repo.keys)
    assert not writer.full
    writer.add(chunk(0), b"x", 1, RAW)
    summary = writer.flush(repo.store)
    assert summary is not None
    assert summary.size == GRAIN


def test_another_epochs_key_does_not_open_it(repo: "Repo") -> None:
    summary = write(repo, 100)
    repo.keys.deks[1] = SecretKey.generate()
    with pytest.raises(ObjectDamaged):
        table(repo, summary.id)
