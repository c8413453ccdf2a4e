"""`strongroom check`."""

from typing import Any

from tests.client.shell import Shell


def test_check(shell: Shell, snapshot: dict[str, Any]):
    assert shell.json("check", "docs", "--read-data")["errors"] == 0
