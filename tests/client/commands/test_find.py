"""`strongroom find`: its words and its JSON."""

import json

import pytest

from tests.client.shell import Shell


def test_matches_stand_below_their_snapshot(shell: Shell, mixed: dict[str, str]) -> None:
    told = shell.run("find", "mixed", "gone", "page").stdout.split("\n\n")
    assert [part.splitlines()[0].split()[:2] for part in told] == [
        ["snapshot", mixed["second"][:12]],
        ["snapshot", mixed["first"][:12]],
    ]
    assert [part.splitlines()[1:] for part in told] == [
        [f"{shell.root}/www/page"],
        [f"{shell.root}/www/gone", f"{shell.root}/www/page"],
    ]


def test_for_a_script_each_snapshot_has_its_hits(shell: Shell, mixed: dict[str, str]) -> None:
    (found,) = shell.json("find", "mixed", "GONE", "--ignore-case")
    assert (found["snapshot"], found["hits"]) == (mixed["first"], 1)
    assert found["matches"][0]["size"] == 4


def test_nothing_found_is_no_error(shell: Shell, mixed: dict[str, str]) -> None:
    told = shell.run("find", "mixed", "nowhere")
    assert (told.stdout, told.stderr) == ("", "nothing matches\n")
    assert json.loads(shell.run("find", "mixed", "nowhere", "--json").stdout) == []


@pytest.mark.parametrize(
    "words", [("[a-",), ("x", "--newest", "tomorrow"), ("x", "--snapshot", "../x"), ("x", "--host", "")]
)
def test_what_means_nothing_is_refused(shell: Shell, mixed: dict[str, str], words: tuple[str, ...]) -> None:
    refused = shell.json("find", "mixed", *words, code=1 if "--host" in words else 2)
    assert refused["remedy"]
