"""`strongroom backup` on a stack that is kept up, and what is left of one that was broken off."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

from client.installation import python_command
from tests.client.shell import Shell, stack_processes, wait_for


def test_backup_says_what_it_did(snapshot: dict[str, Any]):
    assert snapshot["files"] == 44
    assert snapshot["errors"] == 0
    assert snapshot["chunks_new"] > 0
    assert {"snapshot", "dirs", "bytes_read", "bytes_stored", "chunks_reused", "seconds", "kms_calls"} <= set(
        snapshot
    )


def test_a_second_backup_reads_nothing(shell: Shell, snapshot: dict[str, Any]):
    time.sleep(0.05)  # a stamp taken within the clock's tick of a change is never trusted
    again = shell.json("backup", "docs", str(shell.root / "tree"))
    assert again["snapshot"] != snapshot["snapshot"]
    assert again["files"] == snapshot["files"]


def test_ctrl_c_ends_a_command_with_130_and_leaves_nothing(tmp_path: Path):
    own = Shell(tmp_path)
    own.run("init")
    own.run("vault", "create", "v", "--repo", str(tmp_path / "repository"), "--kms", "local-kms://v")
    command, environment = python_command("client.main", "backup", "v", "/usr/lib", "--json")
    child = subprocess.Popen(
        command,
        env={**environment, "STRONGROOM_HOME": str(tmp_path / "home")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    wait_for(lambda: any((tmp_path / "repository").glob("jobs/*/plan")))
    child.send_signal(2)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130, (out, err)
    assert json.loads(out.splitlines()[-1])["code"] == "interrupted"
    assert b"Traceback" not in err
    assert stack_processes(tmp_path) == []
    assert not list((tmp_path / "repository").glob("snapshots/*"))
