import base64
import json

import pytest

from client.output import json_line, path_fields, shown, size, table, time_of_ms, time_of_ns


def test_a_path_that_is_not_utf8_keeps_its_bytes():
    fields = path_fields(b"/caf\xe9")
    assert base64.b64decode(fields["path_b64"]) == b"/caf\xe9"
    assert json.loads(json_line(fields))["path"].encode("utf-8", "surrogateescape") == b"/caf\xe9"
    assert path_fields("/café".encode()) == {"path": "/café"}
    assert json_line(fields).isascii()


def test_nothing_that_is_shown_controls_the_terminal():
    assert shown(b"a\x1b[31mb\nc\xff") == "a\\x1b[31mb\\nc\\xff"
    assert shown("\udce9\u202e") == "\\udce9\\u202e"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 KB"), (1_234_567, "1.2 MB"), (5e18, "5000.0 PB")],
)
def test_sizes(count: float, text: str):
    assert size(count) == text


def test_times():
    assert time_of_ns(1_600_000_000_123_456_789) == "2020-09-13T12:26:40.123456Z"
    assert time_of_ns(-1) == "1969-12-31T23:59:59.999999Z"
    assert time_of_ns(10**30) == "@1000000000000000000000"
    assert time_of_ms(None) is None
    assert time_of_ms(0) == "1970-01-01T00:00:00Z"


def test_a_table_is_aligned(capsys: pytest.CaptureFixture[str]):
    table(("A", "LONG"), [("xyz", 1), ("x", "\x1b")])
    assert capsys.readouterr().out.splitlines() == ["A    LONG", "xyz  1", "x    \\x1b"]
