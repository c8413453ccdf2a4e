"""Stored metadata of objects: decoded strictly, and never taken for a file's."""

import json
import os
from dataclasses import dataclass

import msgspec
import pytest

from sources.filesystem import metadata as files
from sources.s3.metadata import XATTR, ObjectMeta, as_file, decode, encode, is_object
from sources.source import MetaDamaged
from sources.stored import file_meta

META = ObjectMeta(
    "a/b", "v1", '"e"', 1_700_000_000_000, "GLACIER_IR", "text/x", "gzip", "inline", "de", "no-cache",
    "never", "/there", [("who", "me")], [("k", "v")],
)  # fmt: skip


def test_it_comes_back_as_it_was():
    assert decode(encode(META)) == META
    assert is_object(encode(META))


def test_the_metadata_of_a_file_is_not_that_of_an_object():
    stored = files.encode(files.meta_of("f", os.stat(__file__), b"", []))
    assert not is_object(stored)
    assert file_meta(stored, b"/x").kind == "f"
    with pytest.raises(MetaDamaged):
        decode(stored)


@dataclass
class Change:
    at: int
    value: object


@pytest.mark.parametrize(
    "change",
    [Change(0, "s3/2"), Change(1, ""), Change(1, 5), Change(4, -1), Change(4, "soon"), Change(13, [["a"]])],
)
def test_what_no_writer_of_ours_makes_is_refused(change: Change):
    fields = msgspec.msgpack.decode(encode(META))
    fields[change.at] = change.value
    with pytest.raises(MetaDamaged):
        decode(msgspec.msgpack.encode(fields))
    with pytest.raises(MetaDamaged):
        decode(msgspec.msgpack.encode([*msgspec.msgpack.decode(encode(META)), "more"]))


def test_as_a_file_it_is_private_and_has_its_time_and_the_rest_in_one_attribute():
    meta = as_file(META)
    assert (meta.kind, meta.mode & 0o777, meta.mtime_ns) == ("f", 0o600, 1_700_000_000 * 10**9)
    ((name, value),) = meta.xattrs
    assert name == XATTR
    assert json.loads(value)["tags"] == {"k": "v"}
    assert json.loads(value)["version"] == "v1"
