"""A forget that was called off while it was in the queue removes nothing, whatever key its worker still has."""

import os
import signal
from pathlib import Path

from tests.whole.room import TIMEOUT_S, Strongroom, make_tree, wait_for


def maintainers(stack: Strongroom) -> list[int]:
    return [pid for pid in stack.processes() if b"maintenance" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_a_forget_that_is_cancelled_before_its_worker_begins_removes_nothing(
    stack: Strongroom, tmp_path: Path
) -> None:
    make_tree(tmp_path / "source", files=10)
    snapshot = stack.json("backup", "v", tmp_path / "source")["snapshot"]
    stack.run("check", "v")  # its worker has the vault's key from now on
    busy = maintainers(stack)
    assert busy
    for pid in busy:
        os.kill(pid, signal.SIGSTOP)
    try:
        command = stack.start("forget", "v", snapshot)
        wait_for(lambda: ["forget", "queued"] in [[job["kind"], job["state"]] for job in stack.json("jobs")])
        os.killpg(command.pid, signal.SIGINT)
        _, said = command.communicate(timeout=TIMEOUT_S)
    finally:
        for pid in busy:
            os.kill(pid, signal.SIGCONT)
    assert "called off" in said
    assert "strongroom snapshots" in said
    log = stack.home / "logs" / "maintenance.log"
    wait_for(lambda: "refused a message for maintenance.forget: Stray: the job is over" in log.read_text())
    assert [each["id"] for each in stack.json("snapshots", "v")] == [snapshot]
