"""`strongroom schedule`."""

from pathlib import Path

from tests.client.shell import Shell, run


def test_without_schedules_the_example_is_pointed_out(shell: Shell) -> None:
    assert shell.json("schedule", "list") == []
    told = shell.run("schedule", "list")
    assert told.stdout == ""
    assert "config.toml" in told.stderr
    assert "no stack is up" not in told.stderr


def test_without_a_stack_it_is_said_that_nothing_recurs(tmp_path: Path) -> None:
    home = tmp_path / "h"
    run(home, "init")
    told = run(home, "schedule", "list", "--json")
    assert told.stdout == "[]\n"
    assert "no stack is up: nothing recurs until `strongroom up`" in told.stderr
