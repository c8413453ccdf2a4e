"""Stored metadata of files and of objects, as a file system takes them."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.filesystem.metadata import decode
from sources.s3 import metadata as objects
from sources.source import MetaDamaged
from sources.stored import file_meta
from tests.client.deliveries import meta

OBJECT = objects.ObjectMeta("k", "", "", 1_600_000_000_000, "", "", "", "", "", "", "", "", [], [])


def test_a_file_s_is_taken_as_it_is_and_an_object_s_as_a_private_file_s() -> None:
    assert file_meta(meta("f"), b"/f") == decode(meta("f"), b"/f")
    found = file_meta(objects.encode(OBJECT), b"/s3:/b/k")
    assert (found.kind, found.mode & 0o077, found.mtime_ns) == ("f", 0, 1_600_000_000_000_000_000)


@given(st.binary(max_size=200))
def test_whatever_else_is_refused_with_its_path(data: bytes) -> None:
    with pytest.raises(MetaDamaged) as refused:
        file_meta(data, b"/path")
    assert refused.value.path == b"/path"


@pytest.mark.parametrize("cut", range(1, 6))
def test_what_is_cut_short_is_refused(cut: int) -> None:
    for data in (meta("f"), objects.encode(OBJECT)):
        with pytest.raises(MetaDamaged):
            file_meta(data[:-cut], b"/path")
        with pytest.raises(MetaDamaged):
            file_meta(data + bytes(cut), b"/path")


def test_an_object_out_of_range_is_refused() -> None:
    with pytest.raises(MetaDamaged):
        file_meta(objects.encode(msgspec.structs.replace(OBJECT, key="")), b"/path")
