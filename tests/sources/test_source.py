"""The values and errors of the sources."""

import errno
import os
import traceback

import pytest

from sources.filesystem.read import describe
from sources.source import (
    Replaced,
    SourceError,
    TargetFull,
    Unreadable,
    UnsafePath,
    Unwritable,
    Vanished,
    order_key,
    shown,
    unreadable,
    unwritable,
)


def test_path_order_is_depth_first() -> None:
    paths = [b"/", b"/a", b"/a/b", b"/a/b/c", b"/a/c", b"/a-b", b"/a.b/x", b"/aa", b"/b\xff", b"/b\xff/x"]
    assert sorted({*paths}, key=order_key) == paths


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOENT, Vanished),
        (errno.ELOOP, Replaced),
        (errno.ENOTDIR, Replaced),
        (errno.ENXIO, Replaced),
        (errno.EACCES, Unreadable),
        (errno.EIO, Unreadable),
        (errno.EAGAIN, Unreadable),
    ],
)
def test_reading_errors_are_translated(number: int, kind: type[SourceError]) -> None:
    assert type(unreadable(b"/x", OSError(number, "words"))) is kind


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, TargetFull),
        (errno.EDQUOT, TargetFull),
        (errno.ELOOP, UnsafePath),
        (errno.ENOTDIR, UnsafePath),
        (errno.EEXIST, Unwritable),
        (errno.EROFS, Unwritable),
    ],
)
def test_writing_errors_are_translated(number: int, kind: type[SourceError]) -> None:
    assert type(unwritable(b"/x", OSError(number, "words"))) is kind


def test_a_traceback_shows_no_path() -> None:
    secret = b"/home/customer/secret-plan"
    with pytest.raises(FileNotFoundError, match="secret-plan"):  # the control: Python's own error does tell
        os.lstat(secret)
    with pytest.raises(Vanished) as caught:
        describe(secret)
    assert "secret-plan" not in "".join(traceback.format_exception(caught.value))
    assert "secret-plan" in caught.value.named


def test_shown_is_printable() -> None:
    assert shown(b"/caf\xc3\xa9/\xe2\x28\xa1") == "/café/\\xe2(\\xa1"
    assert shown(b"/a\nb\x1b[31m") == "/a\\nb\\x1b[31m"
