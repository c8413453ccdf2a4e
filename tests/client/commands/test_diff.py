"""`strongroom diff`: its words; tests of what it finds are in tests/ beside other whole jobs."""

from tests.client.shell import Shell


def test_what_went_is_told_with_a_sum(shell: Shell, mixed: dict[str, str]) -> None:
    words = ("diff", "mixed", mixed["first"], mixed["second"])
    told = shell.run(*words)
    assert f"-    {shell.root}/www/gone\n" in told.stdout
    assert "0 added, 1 removed, 0 changed" in told.stdout
    found = shell.json(*words)
    assert [(each["modifier"], each["path"]) for each in found["changes"]] == [
        ("-", f"{shell.root}/www/gone")
    ]
    assert (found["removed"]["files"], found["removed"]["bytes"]) == (1, 4)


def test_only_what_is_below_a_path_is_compared(shell: Shell, mixed: dict[str, str]) -> None:
    found = shell.json("diff", "mixed", mixed["first"], mixed["second"], f"{shell.root}/www/page")
    assert found["changes"] == []


def test_a_path_that_begins_nowhere_is_refused(shell: Shell, mixed: dict[str, str]) -> None:
    refused = shell.json("diff", "mixed", mixed["first"], mixed["second"], "www", code=2)
    assert refused["code"] == "bad-argument"
    assert refused["remedy"]
