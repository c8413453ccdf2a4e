"""The commands of docs/s3.md, "Try it with a local S3", are commands that there are; they were run as they stand."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from client.arguments import repository_uri
from client.main import group

ROOT = Path(__file__).parents[2]
SECTION = (ROOT / "docs" / "s3.md").read_text().partition("## Try it with a local S3")[2]
LINES = "\n".join(re.findall(r"^```sh\n(.*?)^```", SECTION, re.DOTALL | re.MULTILINE)).replace("\\\n", " ")
COMMANDS = [line for line in LINES.splitlines() if line.startswith("strongroom ")]


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


def test_places_are_ones_that_strongroom_takes() -> None:
    places = re.findall(r"'(s3://[^']*)'", LINES)
    assert len(places) == 2
    for place in places:
        repository_uri(place)


def test_who_may_ask_the_server_is_whom_strongroom_comes_as() -> None:
    (text,) = re.findall(r"^cat >identities.json <<'END'\n(.*?)^END$", LINES, re.DOTALL | re.MULTILINE)
    (identity,) = json.loads(text)["identities"]
    (keys,) = identity["credentials"]
    assert f"STRONGROOM_S3_ACCESS_KEY_ID={keys['accessKey']} " in LINES
    assert f"STRONGROOM_S3_SECRET_ACCESS_KEY={keys['secretKey']}\n" in LINES


def test_the_server_knows_its_options() -> None:
    (line,) = [each for each in LINES.splitlines() if "weed server" in each]
    weed = Path(sys.executable).with_name("weed")
    told = subprocess.run([weed, "help", "server"], capture_output=True, text=True, check=False)
    known = set(re.findall(r"^  -(\S+)", told.stdout + told.stderr, re.MULTILINE))
    used = {word[1:].partition("=")[0] for word in shlex.split(line) if word.startswith("-")}
    assert len(used) > 8
    assert used <= known
