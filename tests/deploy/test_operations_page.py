"""The commands of docs/operations.md are commands that there are."""

import re
import shlex
from pathlib import Path

import click
import pytest

from client.main import group

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
BLOCKS = re.findall(r"^```\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line.startswith("strongroom ")]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_is_one(line: str) -> None:
    found: click.Command = group
    words = shlex.split(line)[1:]
    parent = None
    while isinstance(found, click.Group):
        parent = click.Context(found, parent=parent)
        inner = found.get_command(parent, words[0])
        assert inner is not None, words
        found, words = inner, words[1:]
    found.make_context("strongroom", list(words), parent=parent)


def test_the_page_has_commands_and_its_files_are_there() -> None:
    assert len(COMMANDS) > 15
    named = set(re.findall(r"`((?:deploy|config)/[A-Za-z0-9_./*-]+)`", PAGE))
    assert len(named) > 4
    for name in named:
        assert list(ROOT.glob(name.rstrip("/"))), name


def test_services_that_are_named_have_a_unit() -> None:
    for name in re.findall(r"strongroom-[a-z-]+[a-z]@?", " ".join(re.findall(r"systemctl .*", PAGE))):
        assert (ROOT / "deploy" / "systemd" / f"{name}.service").exists(), name
