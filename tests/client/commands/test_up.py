"""`strongroom up`."""

import os
from pathlib import Path

from tests.client.shell import Shell, answer, run


def test_a_second_stack_is_refused(shell: Shell):
    answer = shell.json("up", code=1)
    assert "up already" in answer["error"]
    assert "`strongroom down`" in answer["remedy"]
    assert "config.toml" in answer["remedy"]


def test_the_embedded_stack_is_not_started_beside_a_broker_of_ones_own(tmp_path: Path) -> None:
    home = tmp_path / "h"
    run(home, "init")
    (home / "config.toml").write_text('[broker]\nurl = "redis://127.0.0.1:1/0"\n')
    told = answer(home, "up", code=1)
    assert told["code"] == "not-embedded"
    assert "strongroom worker" in told["remedy"]
    assert os.listdir(home / "run") == []
