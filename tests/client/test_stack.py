"""The stack that a command brings along: it ends with the command."""

import subprocess
from pathlib import Path

from client.installation import python_command
from tests.client.shell import Shell, stack_processes, wait_for


def test_a_command_brings_its_own_stack_and_takes_it_down(tmp_path: Path):
    own = Shell(tmp_path)
    own.run("init")
    own.run("vault", "create", "v", "--repo", str(tmp_path / "repository"), "--kms", "local-kms://v")
    (tmp_path / "tree").mkdir()
    own.json("backup", "v", str(tmp_path / "tree"))
    assert stack_processes(tmp_path) == []
    assert not (tmp_path / "home/run/stack.json").exists()


def test_nothing_is_left_when_a_command_is_killed(tmp_path: Path):
    own = Shell(tmp_path)
    own.run("init")
    own.run("vault", "create", "v", "--repo", str(tmp_path / "repository"), "--kms", "local-kms://v")
    command, environment = python_command("client.main", "backup", "v", "/usr/lib")
    child = subprocess.Popen(
        command,
        env={**environment, "STRONGROOM_HOME": str(tmp_path / "home")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: len(stack_processes(tmp_path)) > 0)
    child.kill()
    child.wait()
    wait_for(lambda: stack_processes(tmp_path) == [])
