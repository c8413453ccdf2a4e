"""The commands of docs/operations.md are commands that there are."""

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

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


CARRIED = re.findall(r"^\| `(--role [^`]*)` \| `([^`]*)` \| `([^`]*)` \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("made_with", "written", "carried"), CARRIED)
def test_an_identity_is_where_the_page_says(
    tmp_path: Path, made_with: str, written: str, carried: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRONGROOM_HOME", str(tmp_path))
    done = CliRunner().invoke(group, ["identity", "new", *shlex.split(made_with)])
    assert done.exit_code == 0, done.output
    assert {f"identities/{path.name}" for path in (tmp_path / "identities").iterdir()} == {
        written,
        written.removesuffix(".pub"),
    }
    (enrol,) = [line for line in COMMANDS if line.startswith(f"strongroom enrol {carried} ")]
    assert shlex.split(enrol)[3:5] == shlex.split(made_with)[:2]
    assert f"strongroom enrol {carried} --role" in done.output


def test_every_identity_that_the_page_enrols_was_made_and_carried() -> None:
    enrolled = {
        words[2] for line in COMMANDS if (words := shlex.split(line))[1] == "enrol" and len(words) > 3
    }
    assert {name for name in enrolled if "/" not in name} == {carried for _, _, carried in CARRIED}


def test_the_page_has_commands_and_its_files_are_there() -> None:
    assert len(COMMANDS) > 15
    named = set(re.findall(r"`((?:deploy|config)/[A-Za-z0-9_./*-]+)`", PAGE))
    assert len(named) > 4
    for name in named:
        assert list(ROOT.glob(name.rstrip("/"))), name


def test_services_that_are_named_have_a_unit() -> None:
    for name in re.findall(r"strongroom-[a-z-]+[a-z]@?", " ".join(re.findall(r"systemctl .*", PAGE))):
        assert (ROOT / "deploy" / "systemd" / f"{name}.service").exists(), name
