"""The trial of docker-compose.yml judges rightly: it tells trees apart, and what it expects is in the file."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.compose.engine import ROOT
from deploy.compose.trial import REFUSALS, ROLES, digest_of, write_tree
from deploy.iam.table import DOCUMENTS

COMPOSE = (ROOT / "docker-compose.yml").read_text()


def test_a_tree_has_as_much_as_was_asked_for_and_no_file_twice(tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", 40_000, 4_000)
    contents = [path.read_bytes() for path in (tmp_path / "tree").iterdir()]
    assert [len(each) for each in contents] == [4_000] * 10
    assert len(set(contents)) == 10


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: (tree / "0000.txt").write_bytes(b"other"),
        lambda tree: (tree / "0000.txt").rename(tree / "renamed.txt"),
        lambda tree: (tree / "0000.txt").unlink(),
        lambda tree: (tree / "more").touch(),
        lambda tree: (tree / "folder").mkdir(),
    ],
)
def test_two_trees_that_differ_have_two_digests(tmp_path: Path, change: Callable[[Path], object]) -> None:
    tree = tmp_path / "tree"
    write_tree(tree, 8_000, 4_000)
    before = digest_of(tree)
    assert digest_of(tree) == before
    change(tree)
    assert digest_of(tree) != before


@pytest.mark.parametrize("service", [*ROLES, "client"])
def test_who_is_looked_at_is_a_service(service: str) -> None:
    assert re.search(rf"^  {re.escape(service)}:$", COMPOSE, re.MULTILINE)


def test_every_role_that_has_keys_for_the_store_is_tried_in_it() -> None:
    with_policies = {each.name for each in DOCUMENTS if each.kind == "role"}
    assert set(REFUSALS) == {"backup", "restore", "maintenance", "client"} & with_policies
    for calls in REFUSALS.values():
        assert len(calls) >= 2
        for call in calls:
            compile(f"client.{call}", "attempt", "eval")
