"""Metadata: what is read, how it is stored, what is refused."""

import os
import pwd
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from sources.filesystem.metadata import MAX_META_LENGTH, Meta, decode, encode, read_xattrs, user_name
from sources.filesystem.read import describe
from sources.source import MetaDamaged

Make = Callable[..., Meta]


def test_round_trip_through_the_stored_form(meta: Make) -> None:
    whole = meta(
        "l",
        target=b"\xe2\x28\xa1",
        xattrs=[(b"user.%", b""), (b"user.a", b"\0\xff")],
        mtime_ns=-5,
        rdev=2**63,
    )
    assert decode(encode(whole)) == whole


def test_what_a_file_has(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"x")
    os.setxattr(file, "user.b", b"2")
    os.setxattr(file, "user.a", b"")
    os.link(file, tmp_path / "g")
    file.chmod(0o4711)
    os.utime(file, ns=(1, 123_456_789_012_345_678))
    got = decode(describe(os.fsencode(file)).meta)
    st = file.stat()
    assert got == Meta(
        "f", 0o104711, 0, 0, "root", "root", 123_456_789_012_345_678, st.st_dev, st.st_ino, 2, 0, b"",
        [(b"user.a", b""), (b"user.b", b"2")],
    )  # fmt: skip


def test_owner_names() -> None:
    nobody = pwd.getpwnam("nobody")
    assert user_name(nobody.pw_uid) == "nobody"
    assert user_name(3_999_999_999) == ""


def test_a_link_has_its_own_attributes(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    os.setxattr(tmp_path / "f", "user.a", b"of the file")
    os.symlink("f", tmp_path / "l")
    os.setxattr(tmp_path / "l", "trusted.a", b"of the link", follow_symlinks=False)
    assert read_xattrs(os.fsencode(tmp_path / "l")) == ([(b"trusted.a", b"of the link")], ())


def test_attributes_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    found, warnings = read_xattrs(os.fsencode(tmp_path / "gone"))
    assert found == []
    assert len(warnings) == 1
    assert "gone" not in warnings[0]


def _stored(meta: Make, **fields: object) -> bytes:
    return msgspec.msgpack.encode([fields.get(f, getattr(meta(), f)) for f in Meta.__struct_fields__])


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "s"},
        {"kind": 1},
        {"uid": -1},
        {"uid": 2**32},
        {"mode": "0644"},
        {"mtime_ns": 2**63},
        {"uname": "x" * 257},
        {"target": b"a\0b"},
        {"xattrs": [(b"", b"v")]},
        {"xattrs": [(b"user.a\0", b"v")]},
        {"xattrs": [(b"user.a",)]},
        {"nlink": -1},
    ],
)
def test_damaged_metadata_is_refused(meta: Make, fields: dict[str, object]) -> None:
    assert decode(_stored(meta)) == meta()  # the control
    with pytest.raises(MetaDamaged):
        decode(_stored(meta, **fields), b"/p")


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x90", bytes(MAX_META_LENGTH + 1)])
def test_what_is_no_metadata_is_refused(data: bytes) -> None:
    with pytest.raises(MetaDamaged) as caught:
        decode(data, b"/p")
    assert caught.value.path == b"/p"


def test_trailing_fields_and_bytes_are_refused(meta: Make) -> None:
    values = msgspec.msgpack.decode(encode(meta()))
    for data in (msgspec.msgpack.encode([*values, 1]), encode(meta()) + b"\0"):
        with pytest.raises(MetaDamaged):
            decode(data)
