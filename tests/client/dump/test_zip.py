"""Zip archives that Python's own reader takes apart again."""

import io
import stat
import struct
import zipfile

import pytest

from client.dump.zip import ZipSink
from client.errors import NotDumpable
from tests.client.dump.test_tar import member


def archive(*members: tuple[bytes, str, dict[str, object]], content: bytes = b"") -> zipfile.ZipFile:
    out = io.BytesIO()
    sink = ZipSink(out, b"/top")
    for path, kind, changes in members:
        piece, meta = member(path, kind, size=len(content) if kind == "f" else 0, **changes)
        if kind != "f":
            sink.other(piece, meta)
            continue
        sink.begin(piece, meta)
        sink.write(memoryview(content))
        sink.verified(piece)
        sink.end()
    sink.close()
    return zipfile.ZipFile(io.BytesIO(out.getvalue()))


def test_files_folders_and_links_come_back() -> None:
    with archive(
        (b"/top", "d", {}),
        (b"/top/a", "d", {}),
        (b"/top/a/file", "f", {}),
        (b"/top/link", "l", {"target": b"a/file"}),
        content=b"content" * 1000,
    ) as found:
        assert found.testzip() is None
        assert found.namelist() == ["a/", "a/file", "link"]
        assert found.read("a/file") == b"content" * 1000
        assert found.read("link") == b"a/file"
        assert stat.S_ISLNK(found.getinfo("link").external_attr >> 16)
        assert found.getinfo("a/file").compress_size < 7000


@pytest.mark.parametrize(
    ("second", "year", "exact"),
    [
        (1_600_000_000, 2020, True),
        (-1, 1980, True),
        (-(1 << 31), 1980, True),
        (-(1 << 31) - 1, 1980, False),
        (1 << 31, 2038, False),
        (5_000_000_000, 1980, False),
    ],
)
def test_times_that_the_old_fields_cannot_hold(second: int, year: int, exact: bool) -> None:
    with archive((b"/top/a", "f", {"mtime_ns": second * 10**9, "uid": 4_000_000_000})) as found:
        info = found.getinfo("a")
    assert info.date_time[0] == year
    assert (info.extra[:2] == b"UT") == exact
    if exact:
        assert struct.unpack_from("<i", info.extra, 5) == (second,)
    assert struct.unpack_from("<I", info.extra, len(info.extra) - 9) == (4_000_000_000,)


@pytest.mark.parametrize(("path", "kind"), [(b"/top/p", "p"), (b"/top/\xff", "f"), (b"/elsewhere", "d")])
def test_what_no_zip_can_hold_is_refused_and_the_rest_goes_on(path: bytes, kind: str) -> None:
    out = io.BytesIO()
    sink = ZipSink(out, b"/top")
    piece, meta = member(path, kind)
    with pytest.raises(NotDumpable) as refused:
        sink.begin(piece, meta) if kind == "f" else sink.other(piece, meta)
    assert refused.value.remedy
    sink.other(*member(b"/top/after", "d"))
    sink.close()
    assert zipfile.ZipFile(out).namelist() == ["after/"]


def test_an_archive_that_was_spoilt_is_none() -> None:
    out = io.BytesIO()
    sink = ZipSink(out, b"/top")
    sink.other(*member(b"/top/a", "d"))
    sink.begin(*member(b"/top/b", "f", size=5))
    sink.write(memoryview(b"half"))
    sink.spoil()
    del sink
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(out)
