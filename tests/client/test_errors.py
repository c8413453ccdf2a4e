"""The errors that a person meets: each is in the table, has a documented exit code, and says what to do."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import client
from client import answer, delivery, demo, errors, main  # noqa: F401 - they have errors of their own
from client.errors import ClientError, JobFailed, code_of
from client.restore import pool, run  # noqa: F401
from config.errors import StrongroomError

ROOT = Path(client.__file__).parents[1]
SELDOM_ALONE = frozenset({"ChunkUnusable", "EntryDamaged", "Interrupted"})
"""What is told of one file among others, and what a person did."""


def all_of(root: type[StrongroomError]) -> Iterator[type[StrongroomError]]:
    for each in root.__subclasses__():
        yield each
        yield from all_of(each)


OURS = sorted({each for each in all_of(ClientError) if each.__module__ == errors.__name__}, key=str)


def test_the_table_at_the_head_of_the_module_has_all_of_them() -> None:
    assert errors.__doc__ is not None
    listed = set(re.findall(r"[├└]── (\w+)", errors.__doc__))
    assert listed == {each.__name__ for each in OURS}


def test_every_exit_code_is_in_the_manual() -> None:
    manual = re.search(r"Exit codes: (.*)", (ROOT / "README.md").read_text())
    assert manual is not None
    documented = {int(code) for code in re.findall(r"\b\d+\b", manual[1])}
    assert {each.exit_code for each in all_of(StrongroomError)} <= documented


def test_no_two_of_them_have_the_same_word_for_scripts() -> None:
    words = [code_of(each("x")) for each in OURS if each is not JobFailed]
    assert len(set(words)) == len(words)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", word) for word in words)


def raised_without_remedy() -> Iterator[str]:
    names = {each.__name__ for each in all_of(ClientError)} - SELDOM_ALONE
    for path in sorted((ROOT / "client").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Raise)
                and isinstance(node.exc, ast.Call)
                and isinstance(node.exc.func, ast.Name)
                and node.exc.func.id in names
                and not any(keyword.arg == "remedy" for keyword in node.exc.keywords)
            ):
                yield f"{path.relative_to(ROOT)}:{node.lineno}"


def test_whoever_raises_one_says_what_to_do_about_it() -> None:
    assert list(raised_without_remedy()) == []


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: str(kind.__name__))
def test_the_remedy_stands_behind_the_message(kind: type[ClientError]) -> None:
    made = (
        kind("code", "it broke", remedy="mend it")
        if kind is JobFailed
        else kind("it broke", remedy="mend it")
    )
    assert str(made) == "it broke (mend it)"
