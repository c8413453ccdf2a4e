"""A check that reads opens each chunk, and says of each what is wrong with it."""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from repository.compression import RAW, ZSTD
from repository.damage import DOES_NOT_OPEN, DOES_NOT_UNPACK, OTHER_CONTENT, TEXTS
from repository.errors import StoreUnreachable
from repository.findings import Findings
from repository.layout import pack_name
from repository.manifest import PackSummary
from repository.pack import RECORD
from repository.readdata import PackReader, ReadCounts
from repository.usage import Subject
from repository.walk import Far, Walk

if TYPE_CHECKING:
    from tests.repository.conftest import Repo


def stored(repo: "Repo") -> PackSummary:
    (pack,) = repo.segment({b"/a": random.Random(1).randbytes(60_000)})[1]
    return pack


def reader(repo: "Repo", tell: Callable[[Far], None] | None = None) -> tuple[PackReader, Findings]:
    findings = Findings()
    return PackReader(repo.subject, findings, Walk(tell)), findings


def texts(findings: Findings) -> list[str]:
    return [problem.text for problem in findings.problems()]


def test_good_packs_are_counted_to_the_byte(repo: "Repo") -> None:
    pack = stored(repo)
    told: list[Far] = []
    reads, findings = reader(repo, told.append)
    assert reads.read(pack) == {}
    assert reads.counts == ReadCounts(1, pack.size, len(pack.records) // RECORD.size)
    assert (told[-1].objects, told[-1].byte_count) == (1, pack.size)
    reads.read(pack)
    assert reads.counts.packs == 2
    assert len(findings) == 0


def test_a_chunk_that_does_not_open_leaves_the_others_good(repo: "Repo") -> None:
    pack = stored(repo)
    chunk_id, offset, *_ = list(RECORD.iter_unpack(pack.records))[1]
    repo.damage(pack_name(pack.id), lambda data: data[:offset] + b"\xff" * 8 + data[offset + 8 :])
    reads, findings = reader(repo)
    assert reads.read(pack) == {chunk_id: DOES_NOT_OPEN}
    assert reads.counts.chunks == len(pack.records) // RECORD.size - 1
    assert texts(findings) == [TEXTS[DOES_NOT_OPEN]]


@pytest.mark.parametrize(
    ("chunk_id", "codec", "payload", "flaw"),
    [(bytes(32), RAW, b"x" * 100, OTHER_CONTENT), (b"z" * 32, ZSTD, b"no frame", DOES_NOT_UNPACK)],
)
def test_what_a_key_holder_made_up_is_found_by_reading(
    repo: "Repo", chunk_id: bytes, codec: int, payload: bytes, flaw: int
) -> None:
    writer = repo.packs()
    writer.add(chunk_id, payload, 100, codec)
    pack = writer.flush(repo.store)
    assert pack is not None
    reads, findings = reader(repo)
    assert reads.read(pack) == {chunk_id: flaw}
    assert texts(findings) == [TEXTS[flaw]]


def test_a_table_that_the_index_differs_from_is_told_and_the_chunks_are_read(repo: "Repo") -> None:
    pack = stored(repo)
    chunk_id, offset, sealed, raw, codec = list(RECORD.iter_unpack(pack.records))[-1]
    other = pack.records[: -RECORD.size] + RECORD.pack(chunk_id, offset, sealed, raw + 1, codec)
    reads, findings = reader(repo)
    assert reads.read(PackSummary(pack.id, pack.epoch, pack.size, other)) == {chunk_id: DOES_NOT_UNPACK}
    assert "the pack's own table and the index differ" in texts(findings)
    assert reads.counts.chunks == len(pack.records) // RECORD.size - 1


def test_a_store_that_does_not_answer_is_no_finding(repo: "Repo") -> None:
    pack = stored(repo)

    class Away:
        def __getattr__(self, name: str) -> object:
            def call(*_: object) -> object:
                raise StoreUnreachable("away")

            return call

    findings = Findings()
    reads = PackReader(Subject(Away(), repo.vault, repo.keys), findings, Walk())  # type: ignore[arg-type]
    with pytest.raises(StoreUnreachable):
        reads.read(pack)
    assert len(findings) == 0
