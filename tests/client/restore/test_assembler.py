import os
import stat
from pathlib import Path

import pytest
from blake3 import blake3

from client.restore.assembler import Assembler
from client.restore.finish import Finisher
from client.restore.staging import Staging
from crypto.parcel import OpenParcel
from sources.s3 import metadata as objects
from sources.s3.metadata import ObjectMeta
from tests.client.deliveries import ParcelMaker, meta, names


@pytest.fixture
def assembler(tmp_path: Path):
    made = Assembler(tmp_path, b"")
    yield made
    made.close()


def give(assembler: Assembler, maker: ParcelMaker, segment: int = 0) -> tuple[int, int]:
    return assembler.take(segment, OpenParcel(maker.table(), memoryview(b"".join(maker.payload))))


def test_files_folders_links_and_pipes(assembler: Assembler, tmp_path: Path):
    maker = ParcelMaker()
    maker.piece(b"/a", "d", meta=meta("d", 0o750))
    maker.file(b"/a/file", b"content", meta=meta("f", 0o4640))
    maker.file(b"/a/empty", b"")
    maker.piece(b"/a/link", "l", meta=meta("l", target=b"nowhere"))
    maker.piece(b"/a/pipe", "p", meta=meta("p"))
    assert give(assembler, maker) == (4, 7)
    report = assembler.end_segment(0)
    assert report.failed == ()
    assert [path for path, _ in report.dirs] == [b"/a"]
    assert (tmp_path / "a/file").read_bytes() == b"content"
    assert (tmp_path / "a/file").stat().st_mtime_ns == 1_600_000_000_123_456_789
    assert stat.S_IMODE((tmp_path / "a/file").stat().st_mode) == 0o4640
    assert (tmp_path / "a/empty").read_bytes() == b""
    assert os.readlink(tmp_path / "a/link") == "nowhere"
    assert (tmp_path / "a/pipe").is_fifo()


def test_a_file_of_several_chunks_in_one_parcel(assembler: Assembler, tmp_path: Path):
    maker = ParcelMaker()
    data = os.urandom(30_000)
    for count in (3, 20):  # all at hand, and more than that
        numbers = [maker.chunk(data[at : at + 30_000 // count]) for at in range(0, 30_000, 30_000 // count)]
        extents = tuple(part for number in numbers for part in (number, 0, 30_000 // count))
        maker.piece(b"/of-%d" % count, "f", size=30_000, digest=blake3(data).digest(), extents=extents)
    assert give(assembler, maker) == (2, 60_000)
    assert assembler.end_segment(0).failed == ()
    assert (tmp_path / "of-3").read_bytes() == (tmp_path / "of-20").read_bytes() == data


def parts_of(
    data: bytes, *, path: bytes = b"/big", step: int = 10_000, **changes: object
) -> list[ParcelMaker]:
    """An entry that several parcels bring."""
    makers = []
    for at in range(0, len(data), step):
        maker = ParcelMaker()
        piece = data[at : at + step]
        changes = {"size": len(data), **changes}
        maker.piece(
            path,
            "f",
            digest=blake3(data).digest(),
            data_offset=at,
            last=at + step >= len(data),
            extents=(maker.chunk(piece), 0, len(piece)),
            **changes,
        )
        makers.append(maker)
    return makers


def test_a_file_that_several_parcels_bring(assembler: Assembler, tmp_path: Path):
    data = os.urandom(25_000)
    assert [give(assembler, maker)[0] for maker in parts_of(data)] == [0, 0, 1]
    assert assembler.end_segment(0).failed == ()
    assert (tmp_path / "big").read_bytes() == data


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_file_of_which_a_parcel_is_missing_is_named_and_leaves_nothing(
    assembler: Assembler, tmp_path: Path, lost: int
):
    for number, maker in enumerate(parts_of(os.urandom(25_000))):
        if number != lost:
            maker.file(b"/other-%d" % number, b"fine")
            give(assembler, maker)
    report = assembler.end_segment(0)
    assert names(report.failed) == {b"/big"}
    assert not (tmp_path / "big").exists()
    assert len(list(tmp_path.glob("other-*"))) == 2


def test_content_that_differs_is_named_and_leaves_nothing(assembler: Assembler, tmp_path: Path):
    wrong = blake3(b"something else").digest()
    maker = ParcelMaker()
    maker.file(b"/before", b"fine")
    maker.piece(b"/small", "f", size=4, digest=wrong, extents=(maker.chunk(b"oops"), 0, 4))
    two = (maker.chunk(b"oo"), 0, 2, maker.chunk(b"ps"), 0, 2)
    maker.piece(b"/two", "f", size=4, digest=wrong, extents=two)
    maker.piece(b"/many", "f", size=40, digest=wrong, extents=two * 10)
    maker.piece(b"/lost", "f", size=4, digest=blake3(b"oops").digest())
    maker.piece(b"/undigested", "f", size=4, extents=(0, 0, 4))
    maker.file(b"/after", b"fine")
    assert give(assembler, maker) == (2, 8)
    report = assembler.end_segment(0)
    assert names(report.failed) == {b"/small", b"/two", b"/many", b"/lost", b"/undigested"}
    assert sorted(each.name for each in tmp_path.iterdir()) == ["after", "before"]


def test_a_damaged_chunk_fails_its_files_and_no_others(assembler: Assembler, tmp_path: Path):
    maker = ParcelMaker()
    maker.file(b"/one", b"first" * 100)
    maker.file(b"/two", b"second" * 100)
    maker.file(b"/three", b"third" * 100)
    maker.payload[1] = bytes(len(maker.payload[1]))
    assert give(assembler, maker)[0] == 2
    assert names(assembler.end_segment(0).failed) == {b"/two"}
    assert sorted(each.name for each in tmp_path.iterdir()) == ["one", "three"]


def test_a_sparse_file_keeps_its_holes(assembler: Assembler, tmp_path: Path):
    megabyte = 1 << 20
    maker = ParcelMaker()
    maker.piece(
        b"/sparse",
        "f",
        size=10 * megabyte,
        ranges=((megabyte, 4096), (5 * megabyte, 4096)),
        digest=blake3(b"A" * 4096 + b"B" * 4096).digest(),
        extents=(maker.chunk(b"A" * 4096 + b"B" * 4096), 0, 8192),
    )
    maker.piece(b"/hole", "f", size=megabyte, ranges=((0, 0),))
    give(assembler, maker)
    assert assembler.end_segment(0).failed == ()
    found = (tmp_path / "sparse").read_bytes()
    assert found[megabyte : megabyte + 4096] == b"A" * 4096
    assert found[5 * megabyte : 5 * megabyte + 4096] == b"B" * 4096
    assert found.count(0) == 10 * megabyte - 8192
    assert (tmp_path / "sparse").stat().st_blocks * 512 < megabyte
    assert (tmp_path / "hole").read_bytes() == bytes(megabyte)


@pytest.mark.parametrize(
    "ranges",
    [((0, 4),), ((0, 100),), ((95, 8),), ((-1, 8),), ((0, 8), (8, 1))],
    ids=["too little room", "too much", "beyond the end", "before the beginning", "one more range"],
)
def test_a_map_of_holes_that_does_not_fit_is_refused(
    assembler: Assembler, tmp_path: Path, ranges: tuple[tuple[int, int], ...]
):
    maker = ParcelMaker()
    data = b"12345678"
    maker.piece(
        b"/sparse",
        "f",
        size=100,
        ranges=ranges,
        digest=blake3(data).digest(),
        extents=(maker.chunk(data), 0, 8),
    )
    give(assembler, maker)
    assert names(assembler.end_segment(0).failed) == {b"/sparse"}
    assert list(tmp_path.iterdir()) == []


def test_parts_of_a_huge_file_are_reported_and_stay_for_the_finisher(assembler: Assembler, tmp_path: Path):
    data = os.urandom(20_000)
    for segment, at in ((3, 10_000), (2, 0)):
        maker = ParcelMaker()
        piece = data[at : at + 10_000]
        maker.piece(
            b"/huge",
            "f",
            size=20_000,
            part_offset=at,
            part_length=10_000,
            digest=blake3(piece).digest(),
            extents=(maker.chunk(piece), 0, 10_000),
        )
        give(assembler, maker, segment)
    parts = [part for segment in (2, 3) for part in assembler.end_segment(segment).parts]
    assert [(part.offset, part.length) for part in parts] == [(0, 10_000), (10_000, 10_000)]
    assert (tmp_path / "huge").read_bytes() == data


@pytest.mark.parametrize("damaged", [True, False])
def test_a_huge_file_of_which_no_part_is_whole_leaves_nothing(tmp_path: Path, damaged: bool):
    staging = Staging(tmp_path / "out")
    assembler = Assembler(staging.folder, b"")
    maker = ParcelMaker()
    maker.piece(
        b"/huge",
        "f",
        size=20_000,
        part_length=10_000,
        digest=bytes(32),
        extents=(maker.chunk(bytes(10_000)), 0, 10_000),
        last=damaged,
    )
    give(assembler, maker)
    report = assembler.end_segment(0)
    assembler.close()
    finisher = Finisher(b"")
    finisher.fail(report.failed)
    finisher.add(report.dirs, report.links, report.parts, report.notes)
    assert finisher.finish(staging) == 0
    assert list(finisher.failed) == [b"/huge"]
    assert list((tmp_path / "out").iterdir()) == []


def test_a_segment_that_is_delivered_twice_changes_nothing(assembler: Assembler, tmp_path: Path):
    data = os.urandom(25_000)
    makers = parts_of(data)
    makers[0].file(b"/small", b"content")
    for maker in [*makers[:2], *makers]:
        give(assembler, maker)
    assert assembler.end_segment(0).failed == ()
    assert (tmp_path / "big").read_bytes() == data


def test_what_was_damaged_once_is_delivered_by_the_second_try(assembler: Assembler, tmp_path: Path):
    broken, whole = ParcelMaker(), ParcelMaker()
    broken.file(b"/file", b"content" * 10)
    broken.payload[0] = bytes(len(broken.payload[0]))
    whole.file(b"/file", b"content" * 10)
    give(assembler, broken)
    give(assembler, whole)
    assert assembler.end_segment(0).failed == ()
    assert (tmp_path / "file").read_bytes() == b"content" * 10


@pytest.mark.parametrize(
    "path", [b"/../outside", b"/a/../../outside", b"relative", b"/", b"/a//b", b"/nul\0", b"/.", b""]
)
def test_a_path_that_leads_elsewhere_is_refused_and_named(tmp_path: Path, path: bytes):
    (tmp_path / "in").mkdir()
    assembler = Assembler(tmp_path / "in", b"")
    maker = ParcelMaker()
    maker.file(path, b"evil")
    give(assembler, maker)
    assert names(assembler.end_segment(0).failed) == {path}
    assert [each.name for each in tmp_path.iterdir()] == ["in"]


def test_nothing_is_written_through_a_link_of_the_snapshot(tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    assembler = Assembler(tmp_path / "in", b"")
    maker = ParcelMaker()
    maker.piece(b"/trap", "l", meta=meta("l", target=os.fsencode(tmp_path / "out")))
    maker.file(b"/trap/file", b"evil")
    give(assembler, maker)
    assert names(assembler.end_segment(0).failed) == {b"/trap/file"}
    assert list((tmp_path / "out").iterdir()) == []


def test_metadata_of_another_kind_is_refused_before_anything_is_written(assembler: Assembler, tmp_path: Path):
    maker = ParcelMaker()
    maker.file(b"/file", b"content", meta=meta("d"))
    maker.piece(b"/link", "l", meta=meta("f"))
    maker.piece(b"/junk", "d", meta=b"junk")
    give(assembler, maker)
    assert names(assembler.end_segment(0).failed) == {b"/file", b"/link", b"/junk"}
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_asked_for_is_the_target_itself(tmp_path: Path):
    assembler = Assembler(tmp_path, b"/home/me")
    maker = ParcelMaker()
    maker.piece(b"/home/me", "d", meta=meta("d"))
    maker.file(b"/home/me/file", b"content")
    maker.file(b"/home/other", b"not asked for")
    give(assembler, maker)
    assert names(assembler.end_segment(0).failed) == {b"/home/other"}
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_single_file_that_was_asked_for_lands_under_its_own_name(tmp_path: Path):
    assembler = Assembler(tmp_path, b"/home/me/file")
    maker = ParcelMaker()
    maker.file(b"/home/me/file", b"content")
    give(assembler, maker)
    assert assembler.end_segment(0).failed == ()
    assert (tmp_path / "file").read_bytes() == b"content"


def test_hard_links_are_reported(assembler: Assembler):
    maker = ParcelMaker()
    maker.file(b"/one", b"same", meta=meta("f", nlink=2, ino=99))
    maker.file(b"/two", b"same", meta=meta("f", nlink=2, ino=99))
    give(assembler, maker)
    first, second = assembler.end_segment(0).links
    assert (first.inode, first.digest) == (second.inode, second.digest) == (99, blake3(b"same").digest())


def test_objects_become_files_and_one_that_cannot_is_named(assembler: Assembler, tmp_path: Path):
    described = ObjectMeta(
        "k", "", "", 1_700_000_000_000, "", "text/x", "", "", "", "", "", "", [], [("t", "v")]
    )
    names = [b"/s3:/b/a", b"/s3:/b/a/b", b"/s3:/b/folder/\1", b"/s3:/b/" + b"n" * 256, b"/s3:/b/z"]
    maker = ParcelMaker()
    for name in names:
        maker.file(name, b"" if name.endswith(b"\1") else name, meta=objects.encode(described))
    assert give(assembler, maker)[0] == 3
    failed = dict(assembler.end_segment(0).failed)
    assert set(failed) == {b"/s3:/b/a/b", b"/s3:/b/" + b"n" * 256}
    assert "not a directory" in failed[b"/s3:/b/a/b"]
    assert "name too long" in failed[b"/s3:/b/" + b"n" * 256]
    assert (tmp_path / "s3:/b/a").read_bytes() == b"/s3:/b/a"
    assert (tmp_path / "s3:/b/folder/\1").read_bytes() == b""
    done = (tmp_path / "s3:/b/z").stat()
    assert (stat.S_IMODE(done.st_mode), done.st_mtime) == (0o600, 1_700_000_000)
