"""A failure of any part of the tests fails them all, and is told where nobody can miss it: at the very end."""

from pathlib import Path

import pytest

from tests.run import NAMED, ROOT, main

PASSES = "def test_right(): pass"
FAILS = """
def test_wrong():
    assert 1 == 2, "one is not two"

def test_right(): pass
"""
BREAKS_OFF = """
import os

def test_last():
    os._exit(9)
"""


def part(folder: Path, name: str, source: str) -> tuple[str, ...]:
    path = folder / f"test_{name}.py"
    path.write_text(source)
    return (str(path),)


def test_all_is_well_when_every_part_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main((part(tmp_path, "one", PASSES), part(tmp_path, "two", PASSES))) == 0
    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.splitlines()[-2:]] == ["passed", "passed"]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (FAILS, ["FAILED (1)", "test_bad.py::test_wrong", "AssertionError: one is not two"]),
        (BREAKS_OFF, ["FAILED (9)", "test_bad.py"]),
        ("import nothing_of_that_name", ["FAILED (2)", "test_bad", "nothing_of_that_name"]),
    ],
)
def test_what_failed_is_said_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, says: list[str]
) -> None:
    parts = [part(tmp_path, f"good{number}", PASSES) for number in range(3)]
    assert main((part(tmp_path, "bad", source), *parts)) == 1
    said = capsys.readouterr().out
    summary = said[said.index(" all parts ") :]
    assert summary.count("passed in") == 3
    for words in says:
        assert words in summary[summary.rindex("passed in") :]


def test_every_folder_that_is_named_is_there() -> None:
    """A folder that was renamed would be left out here and ignored there."""
    assert all((ROOT / folder).is_dir() for named in NAMED for folder in named)
