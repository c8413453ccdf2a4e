import base64
import json
from collections.abc import Iterator

import pytest

from client.answer import ListingDamaged
from client.output import (
    AT_ONCE,
    JsonArray,
    json_line,
    path_fields,
    print_lines,
    second_of_ns,
    shown,
    size,
    table,
    time_of_ms,
    time_of_ns,
)


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
    assert (
        second_of_ns(1_600_000_000_999_999_999)
        == time_of_ns(1_600_000_000_000_000_999)
        == "2020-09-13T12:26:40Z"
    )
    assert time_of_ns(10**30) == second_of_ns(10**30) == "@1000000000000000000000"
    assert time_of_ms(None) is None
    assert time_of_ms(0) == "1970-01-01T00:00:00Z"


def test_a_table_is_aligned(capsys: pytest.CaptureFixture[str]):
    table(("A", "LONG"), [("xyz", 1), ("x", "\x1b")])
    assert capsys.readouterr().out.splitlines() == ["A    LONG", "xyz  1", "x    \\x1b"]


@pytest.mark.parametrize("count", [0, 1, AT_ONCE - 1, AT_ONCE, 3 * AT_ONCE + 1])
def test_many_lines_and_elements_are_all_printed(capsys: pytest.CaptureFixture[str], count: int):
    print_lines(map(str, range(count)))
    assert capsys.readouterr().out == "".join(f"{number}\n" for number in range(count))
    with JsonArray() as array:
        for number in range(count):
            array.item(str(number))
    assert capsys.readouterr().out == json.dumps(list(range(count))) + "\n"


def broken() -> Iterator[str]:
    yield "1"
    raise ListingDamaged("the second is bad")


def print_array() -> None:
    with JsonArray() as array:
        for text in broken():
            array.item(text)


def test_what_came_before_an_error_is_printed_and_is_no_whole(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(ListingDamaged):
        print_lines(broken())
    assert capsys.readouterr().out == "1\n"
    with pytest.raises(ListingDamaged):
        print_array()
    assert capsys.readouterr().out == "[1\n"
