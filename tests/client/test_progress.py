"""The live line: on a terminal and nowhere else, and with the sum of what was heard."""

import os
import sys
from contextlib import suppress

import pytest

from client.progress import OBJECTS, Silent, Tally, meter, silent
from crypto import notes


class Seen:
    """A Meter that remembers."""

    def __init__(self) -> None:
        self.shown: list[tuple[int, int, int, int]] = []

    def show(self, files: int, total_files: int, byte_count: int, total_bytes: int) -> None:
        self.shown.append((files, total_files, byte_count, total_bytes))


def test_the_newest_note_of_each_segment_counts() -> None:
    seen = Seen()
    tally = Tally(seen)
    for note in (
        notes.Progress(0, 1, 10),
        notes.Planned(2, 9, 90),
        notes.Progress(1, 2, 20),
        notes.Waiting("the store is away", 5),
        notes.Progress(0, 4, 40),
    ):
        tally.hear(note)
    assert seen.shown == [(1, 0, 10, 0), (1, 9, 10, 90), (3, 9, 30, 90), (6, 9, 60, 90)]


@pytest.mark.parametrize("wanted", [True, False])
def test_nobody_watches_a_file(capsys: pytest.CaptureFixture[str], wanted: bool) -> None:
    with meter("backing up", wanted=wanted) as shown, silent() as nothing:
        for each in (shown, nothing):
            assert isinstance(each, Silent)
            each.show(1, 2, 3, 4)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("of", "numbers", "words"),
    [
        ("files", (1, 5, 2_000_000, 4_000_000), [b"backing up", b"1/5 files", b"2.0/4.0 MB"]),
        ("files", (3, 0, 0, 0), [b"3 files"]),
        (OBJECTS, (3, 7, 0, 0), [b"3/7 objects"]),
        ("files", (1, 1, 5_000_000, 4_000_000), [b"5.0/5.0 MB"]),
    ],
)
def test_a_person_at_a_terminal_sees_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, of: str, numbers: tuple[int, int, int, int], words: list[bytes]
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("NO_COLOR", raising=False)
    keyboard, terminal = os.openpty()
    with open(terminal, "w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        with meter("backing up", wanted=True, of=of) as shown:
            shown.show(*numbers)
    seen = b""
    with open(keyboard, "rb", buffering=0) as screen, suppress(OSError):  # an error is the end of a terminal
        while True:
            seen += screen.read(1 << 16)
    for each in words:
        assert each in seen


def test_a_script_at_a_terminal_sees_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    keyboard, terminal = os.openpty()
    with open(terminal, "w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        with meter("backing up", wanted=False) as shown:
            assert isinstance(shown, Silent)
    os.close(keyboard)
