"""Entries in words and for programs."""

import base64
import copy

import pytest

from client.answer import Line
from client.entries import entry_fields, entry_words

FILE: Line = {
    "path": "/home/me/a.txt",
    "type": "file",
    "size": 1234,
    "mode": 0o100644,
    "uid": 1000,
    "gid": 100,
    "user": "me",
    "group": "",
    "mtime_ns": 1_600_000_000_123_456_789,
    "target": "",
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "-rw-r--r-- me:100                   1234 2020-09-13T12:26:40Z /home/me/a.txt"),
        (
            {"path": "/caf\udce9\n", "user": "\x1b"},
            "-rw-r--r-- \\x1b:100                 1234 2020-09-13T12:26:40Z /caf\\xe9\\n",
        ),
        (
            {"path": "/é", "mode": 0o120777, "target": "to\t", "mtime_ns": -1},
            "lrwxrwxrwx me:100                   1234 1969-12-31T23:59:59Z /é -> to\\t",
        ),
        ({"error": "bad\x07"}, "?????????? /home/me/a.txt  (bad\\x07)"),
        (
            {"object": {"storage_class": "GLACIER"}, "mtime_ns": 10**30},
            "object     GLACIER                  1234 @1000000000000000000000 /home/me/a.txt",
        ),
    ],
)
def test_words(changes: Line, words: str) -> None:
    assert entry_words(FILE | changes) == words


@pytest.mark.parametrize("path", ["/a", "/é", "/caf\udce9"])
def test_fields(path: str) -> None:
    line = FILE | {"path": path}
    before = copy.deepcopy(line)
    fields = entry_fields(line)
    assert line == before, "the line is another's, too"
    assert fields.items() >= line.items()
    assert fields["mtime"] == "2020-09-13T12:26:40.123456Z"
    coded = fields.get("path_b64")
    assert (coded and base64.b64decode(coded)) == (b"/caf\xe9" if "\udce9" in path else None)
