"""Tar archives that Python's own reader takes apart again."""

import io
import tarfile

import msgspec
import pytest

from client.dump.tar import TarSink
from client.errors import EntryDamaged
from crypto.parcel import Piece
from sources.filesystem.metadata import Meta, decode
from tests.client.deliveries import meta


def member(path: bytes, kind: str = "f", size: int = 0, **changes: object) -> tuple[Piece, Meta]:
    encoded = meta(kind, 0o644, **changes)
    return Piece(path, kind, size, encoded, b"d" * 32, (), 0, -1, 0, True, ()), decode(encoded)


def archive(*members: tuple[Piece, Meta], content: bytes = b"") -> list[tarfile.TarInfo]:
    out = io.BytesIO()
    sink = TarSink(out, b"")
    for piece, its_meta in members:
        if piece.kind != "f":
            sink.other(piece, its_meta)
            continue
        sink.begin(piece, its_meta)
        sink.write(memoryview(content))
        sink.verified(piece)
        sink.end()
    sink.close()
    assert len(out.getvalue()) % 512 == 0
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        return tar.getmembers()


@pytest.mark.parametrize("length", [*range(80, 120), 990, 991, 992, 993, 9990])
def test_records_of_every_length_are_read(length: int) -> None:
    name = b"\xff" * length
    (found,) = archive(member(b"/" + name))
    assert found.name.encode("utf-8", "surrogateescape") == name


def test_numbers_that_the_old_fields_cannot_hold() -> None:
    large = member(
        b"/large", size=0, uid=4_000_000_000, gid=3_000_000_000, uname="\u00fc" * 40, gname="g" * 31
    )
    early = member(b"/early", "d", mtime_ns=-1_234_567_891)
    first, second = archive(large, early)
    assert (first.uid, first.gid) == (4_000_000_000, 3_000_000_000)
    assert (first.uname, first.gname) == ("\u00fc" * 40, "g" * 31)
    assert second.pax_headers["mtime"] == "-1.234567891"
    assert (first.mtime, first.pax_headers["mtime"]) == (1_600_000_000.1234567, "1600000000.123456789")


def test_a_size_of_more_than_eight_gigabytes_is_said() -> None:
    out = io.BytesIO()
    TarSink(out, b"").begin(*member(b"/huge", size=20 << 30))
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        header = tar.next()
    assert header is not None
    assert header.size == 20 << 30


def test_other_names_of_a_file_are_links_to_the_first() -> None:
    one, other, stranger = (
        member(path, size=3, nlink=2, ino=ino) for path, ino in ((b"/a", 7), (b"/b/c", 7), (b"/d", 8))
    )
    first, second, third = archive(one, other, stranger, content=b"abc")
    assert first.isreg()
    assert (second.islnk(), second.linkname, second.size) == (True, "a", 0)
    assert third.isreg()


def test_a_link_whose_later_part_differs_from_the_first_name_is_told() -> None:
    sink = TarSink(io.BytesIO(), b"")
    for path, later in ((b"/a", b"1" * 32), (b"/b", b"1" * 32), (b"/c", b"2" * 32)):
        piece, its_meta = member(path, size=8, nlink=2)
        sink.begin(piece, its_meta)
        sink.verified(piece)
        second = msgspec.structs.replace(piece, part_offset=4, digest=later)
        if path == b"/c":
            with pytest.raises(EntryDamaged, match="several names"):
                sink.verified(second)
        else:
            sink.verified(second)
        sink.end()


def test_attributes_are_bytes() -> None:
    (found,) = archive(member(b"/a", xattrs=[(b"user.a=b%", b"\0\xff\n")]))
    assert found.pax_headers["SCHILY.xattr.user.a%3Db%25"].encode("utf-8", "surrogateescape") == b"\0\xff\n"
