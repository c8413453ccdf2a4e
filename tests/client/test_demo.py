"""The demo on a small folder, and how it shows what an onlooker sees."""

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from client.demo import SHOWN, _one_of_each, _short, demo
from client.installation import python_command
from client.onlooker import Sighting

TASK = json.dumps({"headers": {"task": "backup.plan"}, "body": "x" * 500})


def test_what_was_backed_up_comes_back_and_the_broker_saw_no_name(tmp_path: Path) -> None:
    tree = tmp_path / "a folder"
    tree.mkdir()
    for number in range(5):
        (tree / f"secret plan {number}.txt").write_bytes(b"%d" % number * 1000)
    command, environment = python_command("client.demo", str(tree))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert "every byte is the same" in done.stdout.replace("\n", " ")
    assert "none of 8 names and paths occurs" in done.stdout
    assert [line.split()[0] for line in done.stdout.splitlines()[-5:-1]] == [
        "STEP",
        "backup",
        "again,",
        "restore",
    ]


def test_a_folder_that_is_none_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("none", "file"):
        assert CliRunner().invoke(demo, [str(tmp_path / name)]).exit_code == 2


def test_one_message_of_each_task_and_of_each_kind_of_list() -> None:
    seen = [
        Sighting("backup", TASK),
        Sighting("backup", TASK),
        Sighting("notes:1", "a"),
        Sighting("notes:2", "b"),
    ]
    assert _one_of_each(seen) == [seen[0], seen[2]]


@pytest.mark.parametrize("value", [TASK, "\x1b" * 500, "[1]", '{"headers": 1}', "null"])
def test_what_is_shown_is_short_and_controls_nothing(value: str) -> None:
    text = _short(Sighting("backup", value))
    assert text.isprintable()
    assert len(text) <= 4 * SHOWN + 30
