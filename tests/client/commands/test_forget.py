"""`strongroom forget`: what it refuses before anybody is asked, and what it says of a choice."""

import pytest
from click.testing import CliRunner

from client.commands.forget import command
from client.errors import BadArgument
from tests.client.shell import Shell


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "nothing says which"),
        (("--host", "web1"), "nothing says which"),
        (("--unsafe-allow-remove-all",), "nothing says which"),
        (("abc",), "not the id"),
        (("latest",), "not the id"),
        (("ABCD",), "not the id"),
        (("0" * 33,), "not the id"),
        (("abcd", "--keep-last", "1"), "as well"),
        (("abcd", "--tag", "x"), "as well"),
        (("abcd", "--unsafe-allow-remove-all"), "as well"),
    ],
)
def test_what_does_not_say_what_goes_is_refused(words: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(command, ["vault", *words])
    assert isinstance(done.exception, BadArgument)
    assert said in done.exception.message
    assert done.exception.remedy


def test_a_dry_run_tells_what_would_go_and_why_the_rest_stays(shell: Shell, mixed: dict[str, str]) -> None:
    words = ("forget", "mixed", "--keep-last", "1", "--dry-run")
    told = shell.run(*words).stdout
    assert "1 would go, 2 kept" in told
    assert "kept: last" in told
    found = {line["id"]: line.get("removed", False) for line in shell.json(*words)["snapshots"]}
    assert found == {mixed["first"]: True, mixed["second"]: False, mixed["etc"]: False}
    assert len(shell.json("snapshots", "mixed")) == 3


@pytest.mark.parametrize(
    ("words", "said", "left_out"),
    [
        (("--keep-last", "1", "--tag", "old"), "0 would go, 1 kept, 2 not looked at", 2),
        (("--keep-last", "1", "--tag", "none"), "0 would go, 0 kept, 3 not looked at", 3),
        (("--keep-last", "9"), "0 would go, 3 kept\n", 0),
    ],
)
def test_what_a_filter_leaves_out_is_not_said_to_be_kept_by_the_policy(
    shell: Shell, mixed: dict[str, str], words: tuple[str, ...], said: str, left_out: int
) -> None:
    assert said in shell.run("forget", "mixed", *words, "--dry-run").stdout
    found = shell.json("forget", "mixed", *words, "--dry-run")
    assert (found["kept"], found["left_out"]) == (len(mixed), left_out)
    named = shell.run("forget", "mixed", mixed["first"], "--dry-run").stdout
    assert "1 would go, 2 kept\n" in named
