"""What docs/operations-aws.md tells somebody to do can be done: modules take what it gives them, files are there."""

import re
import textwrap
from pathlib import Path
from typing import Any

import hcl2
import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations-aws.md").read_text()
BLOCKS = [
    textwrap.dedent(block) for block in re.findall(r"^ *```hcl\n(.*?)^ *```", PAGE, re.DOTALL | re.MULTILINE)
]
MODULES = [
    (name.strip('"'), body)
    for block in BLOCKS
    for found in hcl2.loads(block)["module"]
    for name, body in found.items()
]


def variables(folder: Path) -> dict[str, Any]:
    blocks = hcl2.loads((folder / "variables.tf").read_text())["variable"]
    return {name.strip('"'): body for block in blocks for name, body in block.items()}


@pytest.mark.parametrize(("name", "body"), MODULES, ids=[name for name, _ in MODULES])
def test_a_module_is_given_what_it_needs_and_nothing_else(name: str, body: dict[str, Any]) -> None:
    known = variables(ROOT / body["source"].strip('"'))
    given = {each for each in body if not each.startswith("__")} - {"source"}
    assert given <= set(known)
    assert {each for each, declared in known.items() if "default" not in declared} <= given, name


def test_each_module_is_shown() -> None:
    shown = {Path(body["source"].strip('"')).name for _, body in MODULES}
    assert shown == {path.name for path in (ROOT / "deploy/iam/terraform").iterdir()}


def test_roles_come_before_the_cmk_and_are_put_again() -> None:
    """A CMK's policy names them; theirs name the CMK."""
    words = ["cmk_arns          = []", "aws kms create-key", "for role in key-broker-tenant rewrap-tenant"]
    places = [PAGE.index(each) for each in words]
    assert places == sorted(places)


def test_its_files_are_there() -> None:
    named = set(re.findall(r"(?:file://|`)(deploy/[A-Za-z0-9_./-]+)", PAGE))
    generated = {f"deploy/iam/{name}" for name in re.findall(r"/tmp/mine/(json/[a-z-]+\.json)", PAGE)}
    assert "deploy/iam/trust-ec2.json" in named
    assert len(generated) > 2
    for name in named | generated:
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.name)
def test_a_uri_with_options_is_quoted(path: Path) -> None:
    """A shell takes `?` for a pattern and `&` for the end of the command."""
    commands = re.findall(r"strongroom [a-z].*", path.read_text())
    bare = [
        each for command in commands for each in re.findall(r"(?<=[\s=])(?:s3|aws-kms)://\S*\?\S*", command)
    ]
    assert not bare
