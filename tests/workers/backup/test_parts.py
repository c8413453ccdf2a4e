"""Cutting a huge file: all of it, in parts of bounded size, at boundaries that move with the content."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repository.chunker import Chunker, ChunkSizes
from sources.filesystem.read import look
from workers.backup.parts import PartSizes, Seams, parts

CHUNKS = ChunkSizes(4 << 10, 16 << 10, 64 << 10)
SIZES = PartSizes(largest=1 << 20, least=256 << 10)


def seams() -> Seams:
    return Seams(Chunker(1234567, CHUNKS), look, window=CHUNKS.largest)


def written(path: Path, content: bytes) -> bytes:
    path.write_bytes(content)
    return bytes(path)


@given(st.integers(0, 1 << 45), st.integers(1, 1 << 30), st.integers(1, 1 << 30))
def test_parts_cover_a_file_without_gaps(size: int, one: int, other: int) -> None:
    least, largest = sorted((one + size // 1000, other + size // 1000))
    at = 0
    for offset, length in parts(b"/f", size, None, PartSizes(largest, least)):
        assert offset == at and 0 < length <= max(largest, least + least // 4)
        at += length
    assert at == size


def test_parts_get_smaller_towards_the_end() -> None:
    lengths = [length for _, length in parts(b"/f", 64 << 20, None, SIZES)]
    assert lengths[:10] == [SIZES.largest] * 10
    assert lengths[-1] < SIZES.largest // 2 and lengths == sorted(lengths, reverse=True)


def test_seams_move_with_the_content(tmp_path: Path) -> None:
    content = random.Random(7).randbytes(24 << 20)
    path = written(tmp_path / "f", content)
    before = [content[at : at + 64] for at, _ in parts(path, len(content), seams(), SIZES) if at]
    longer = b"inserted" * 9 + content
    written(tmp_path / "f", longer)
    after = [longer[at : at + 64] for at, _ in parts(path, len(longer), seams(), SIZES) if at]
    assert len(set(before) & set(after)) > 0.8 * len(before)
    plain = [longer[at : at + 64] for at, _ in parts(path, len(longer), None, SIZES) if at]
    assert not set(plain) & {content[at : at + 64] for at, _ in parts(path, len(content), None, SIZES) if at}


@pytest.mark.parametrize("gone", [True, False])
def test_what_cannot_be_looked_at_is_cut_at_plain_offsets(tmp_path: Path, *, gone: bool) -> None:
    path = bytes(tmp_path / "gone") if gone else bytes(tmp_path)
    size = 5 << 20
    assert list(parts(path, size, seams(), SIZES)) == list(parts(path, size, None, SIZES))


def test_a_file_that_shrank_is_still_covered(tmp_path: Path) -> None:
    path = written(tmp_path / "f", random.Random(1).randbytes(2 << 20))
    found = list(parts(path, 9 << 20, seams(), SIZES))
    assert found[0][0] == 0 and sum(length for _, length in found) == 9 << 20


def test_holes_are_cut_at_the_longest_chunk(tmp_path: Path) -> None:
    path = written(tmp_path / "f", b"")
    with (tmp_path / "f").open("wb") as file:
        file.truncate(4 << 20)
    assert sum(length for _, length in parts(path, 4 << 20, seams(), SIZES)) == 4 << 20
