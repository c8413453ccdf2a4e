"""An entry of a listing in one line, whatever a worker or a file's name says."""

import pytest

from client.entries import entry_fields, entry_words

FILE = {
    "path": "/a/caf\udce9",
    "type": "file",
    "mode": 0o100644,
    "uid": 7,
    "gid": 8,
    "user": "me",
    "group": "",
    "size": 12,
    "mtime_ns": 1_600_000_000_123_456_789,
}


def test_a_program_gets_all_that_was_said_and_the_time_in_words() -> None:
    fields = entry_fields(FILE)
    assert fields.items() >= FILE.items()
    assert (fields["path_b64"], fields["mtime"]) == ("L2EvY2Fm6Q==", "2020-09-13T12:26:40.123456Z")
    assert "mtime" not in entry_fields({"path": "/a"})


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (FILE, "-rw-r--r-- me:8                       12 2020-09-13T12:26:40Z /a/caf\\xe9"),
        (
            {**FILE, "path": "/l", "mode": 0o120777, "target": "to\n"},
            "lrwxrwxrwx me:8                       12 2020-09-13T12:26:40Z /l -> to\\n",
        ),
        (
            {**FILE, "path": "/s3:/b/k", "object": {"storage_class": "GLACIER"}},
            "object     GLACIER                    12 2020-09-13T12:26:40Z /s3:/b/k",
        ),
        (
            {**FILE, "path": "/s3:/b/k", "object": {}},
            "object     STANDARD                   12 2020-09-13T12:26:40Z /s3:/b/k",
        ),
        (
            {**FILE, "path": "/l", "mtime_ns": -1},
            "-rw-r--r-- me:8                       12 1969-12-31T23:59:59Z /l",
        ),
        (
            {**FILE, "path": "/l", "mtime_ns": 10**30},
            "-rw-r--r-- me:8                       12 @1000000000000000000000 /l",
        ),
        ({"path": "/a\x1b", "error": "gone\n"}, "?????????? /a\\x1b  (gone\\n)"),
        ({**FILE, "user": "\x1b[31m", "path": "/x"}, "-rw-r--r-- \\x1b[31m:8 "),
    ],
)
def test_a_person_gets_one_line_that_controls_nothing(line: dict[str, object], words: str) -> None:
    assert entry_words(line).startswith(words)
    assert entry_words(line).isprintable()
