"""`strongroom status`."""

import re
from typing import Any

from tests.client.shell import Shell


def test_a_stack_that_is_up_says_how_it_is(shell: Shell, snapshot: dict[str, Any]):
    status = shell.json("status")
    assert status["ready"]
    assert set(status["queues"]) == {"scheduler", "keys", "backup", "restore", "maintenance"}
    assert status["roles"]["key-broker"]["totals"]["kms_calls"] > 0
    told = shell.run("status").stdout
    assert "kms_calls" in told
    assert re.match(r"the stack is up for \d+ s, process \d+\n", told)
