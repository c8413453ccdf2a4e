"""Names in an archive lead nowhere but below what was asked for; content is that of one file."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.dump.sink import Content, member_name
from client.errors import NotDumpable
from sources.filesystem.metadata import decode
from tests.client.deliveries import ParcelMaker

NAME = st.binary(min_size=1, max_size=5).map(lambda name: name.replace(b"/", b"x").replace(b"\0", b"x"))
PLAIN = NAME.filter(lambda name: name not in (b".", b".."))


@given(st.lists(PLAIN, max_size=3), st.lists(PLAIN, min_size=1, max_size=3))
def test_a_name_is_what_comes_after_what_was_asked_for(above: list[bytes], below: list[bytes]) -> None:
    strip = b"".join(b"/" + name for name in above)
    assert member_name(strip + b"/" + b"/".join(below), strip) == b"/".join(below)
    assert member_name(strip or b"/", strip) == b"."


@given(st.binary(max_size=12), st.lists(PLAIN, max_size=2))
def test_no_name_leads_elsewhere(path: bytes, above: list[bytes]) -> None:
    strip = b"".join(b"/" + name for name in above)
    try:
        name = member_name(path, strip)
    except NotDumpable:
        return
    assert name == b"." or not {b"", b".", b".."} & set(name.split(b"/"))
    assert b"\0" not in name


@pytest.mark.parametrize(
    "path",
    [b"/b", b"/ab", b"/a/", b"/a//b", b"/a/../b", b"/a/./b", b"/a/..", b"a/b", b"", b"/a/b\0c", b"/a/b/"],
)
def test_a_path_that_is_elsewhere_is_refused(path: bytes) -> None:
    with pytest.raises(NotDumpable) as refused:
        member_name(path, b"/a")
    assert refused.value.remedy


def test_objects_below_the_one_that_was_asked_for_are_not_its_content() -> None:
    maker = ParcelMaker()
    for path in (b"/s3:/b/a", b"/s3:/b/a/below"):
        maker.file(path, b"x")
    out = io.BytesIO()
    sink = Content(out, b"/s3:/b/a")
    for piece in maker.pieces:
        sink.begin(piece, decode(piece.meta))
        sink.write(memoryview(piece.path))
        sink.end()
    sink.close()
    assert out.getvalue() == b"/s3:/b/a"
