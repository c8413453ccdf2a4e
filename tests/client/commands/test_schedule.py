"""`strongroom schedule`."""

from tests.client.shell import Shell


def test_without_schedules_the_example_is_pointed_out(shell: Shell) -> None:
    assert shell.json("schedule", "list") == []
    told = shell.run("schedule", "list")
    assert told.stdout == ""
    assert "config.toml" in told.stderr
