"""What is told while nothing gets on: once for each span of waiting."""

import time

import pytest

from client.errors import ClientError
from client.waiting import NO_KEY, STORE_SILENT, Waits

HOUR_MS = 3_600_000


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def test_one_line_for_a_span_however_many_wait_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    waits = Waits()
    for _ in range(3):
        waits.hear("timed out", now_ms() + HOUR_MS)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"strongroom: {STORE_SILENT}: timed out; trying again until ")
    assert line.endswith("Z")


def test_another_trouble_and_the_next_span_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    waits = Waits()
    waits.hear("a", now_ms() + HOUR_MS)
    waits.hear("b", now_ms() + HOUR_MS, NO_KEY)
    waits.hear("c", now_ms() - 1, "over")
    waits.hear("d", now_ms() + HOUR_MS, "over")
    assert [line.split(": ")[1] for line in capsys.readouterr().err.splitlines()] == [
        STORE_SILENT,
        NO_KEY,
        "over",
        "over",
    ]


def test_words_of_a_server_do_not_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Waits().of_store(ClientError("away\x1b[31m\n", remedy="secret remedy"), 60.0)
    said = capsys.readouterr().err
    assert "away\\x1b[31m\\n" in said
    assert "remedy" not in said
    assert said.count("\n") == 1
