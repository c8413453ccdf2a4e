"""`strongroom lock`, as far as it needs no bucket."""

from tests.client.shell import Shell


def test_a_vault_without_locks_is_told_what_makes_them(shell: Shell) -> None:
    refused = shell.json("lock", "extend", "docs", code=2)
    assert refused["code"] == "bad-argument"
    assert "lock= and retention=" in refused["remedy"]
    assert shell.json("lock", "extend", "none", code=1)["code"] == "unknown-vault"
