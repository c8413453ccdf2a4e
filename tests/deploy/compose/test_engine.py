"""What the trial stands on, as far as it needs no Docker: commands, waiting, and what is said without an engine."""

import os
import sys
from pathlib import Path

import pytest

from deploy.compose.engine import Failed, docker_command, engine, run, wait_for


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH that has what a test puts there, and no Docker."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def program(path: Path, name: str, script: str) -> None:
    (path / name).write_text(f"#!/bin/sh\n{script}\n")
    (path / name).chmod(0o755)


def test_a_command_that_fails_is_shown_with_all_that_it_said() -> None:
    words = (sys.executable, "-c", "import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)")
    with pytest.raises(Failed, match=r"exit code 7\nout\nerr"):
        run(*words)
    assert run(*words, check=False) == "out"


def test_a_command_has_the_environment_and_what_is_added(tmp_path: Path) -> None:
    words = ("sh", "-c", 'echo "$ADDED $HOME"; pwd')
    assert run(*words, env={"ADDED": "yes"}, cwd=tmp_path) == f"yes {os.environ['HOME']}\n{tmp_path}"


def test_what_does_not_come_about_is_named() -> None:
    seen = iter((False, True))
    wait_for("the engine", lambda: next(seen), 5)
    with pytest.raises(Failed, match="the engine is not there after 0 s"):
        wait_for("the engine", lambda: False, 0)


def test_a_docker_that_cannot_build_with_secrets_is_passed_over(path: Path) -> None:
    if not os.access("/usr/bin/docker", os.X_OK):
        program(path, "docker", "echo --no-cache")
        with pytest.raises(Failed, match=r"apt-get install docker\.io"):
            docker_command()
    program(path, "docker", "echo --secret")
    assert docker_command() == "docker"


def test_an_engine_that_answers_is_used_and_left_alone(path: Path) -> None:
    program(path, "docker", f'echo "$@" >> {path}/asked')
    with engine("docker"):
        pass
    assert (path / "asked").read_text() == "info\n"


def test_without_an_engine_it_is_said_what_is_needed(path: Path) -> None:
    program(path, "docker", "exit 1")
    with pytest.raises(Failed, match="start one, or run this as root"), engine("docker"):
        pytest.fail("there is none")
