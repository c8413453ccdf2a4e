"""`strongroom jobs`."""

from datetime import datetime
from typing import Any

from tests.client.shell import Shell


def test_the_ledger_says_what_was_done_and_when(shell: Shell, snapshot: dict[str, Any]) -> None:
    lines = shell.json("jobs")
    backup = next(line for line in lines if (line["kind"], line["vault"]) == ("backup", "docs"))
    assert (backup["state"], backup["code"]) == ("done", "")
    assert datetime.fromisoformat(backup["created"]) <= datetime.fromisoformat(backup["finished"])
    told = shell.run("jobs").stdout
    assert backup["id"][:12] in told
    assert backup["id"] not in told
