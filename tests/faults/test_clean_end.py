"""A command that brings its own stack takes it along when it ends, however it ends."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.whole.room import Strongroom, furnished, wait_for
from tests.workers.stack_control import is_alive


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Strongroom]:
    base = tmp_path_factory.mktemp("clean")
    # Short, for the socket; and nobody else's stacks in it.
    with tempfile.TemporaryDirectory(prefix="e2e-") as run:
        with furnished(Strongroom(base / "home", TMPDIR=run), base / "repo") as made:
            yield made
        assert traces(made) == []


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Something that takes a while: no data, but many segments."""
    folder = tmp_path_factory.mktemp("source")
    for number in range(200):
        with (folder / f"sparse-{number}").open("wb") as file:
            file.truncate(1 << 30)
    return folder


def traces(room: Strongroom) -> list[Path]:
    """What a stack has on disk while it runs, and must not leave there."""
    run = Path(room.environment["TMPDIR"])
    return [*run.iterdir(), *(room.home / "run").glob("*.json"), *(room.home / "delivery").iterdir()]


def start(room: Strongroom, source: Path) -> subprocess.Popen[str]:
    """A backup that is in the middle of its work."""
    command = room.start("backup", "v", source)
    before = set(jobs_of(room))
    wait_for(lambda: bool(set(jobs_of(room)) - before) or command.poll() is not None)
    assert command.poll() is None, "it was over before it could be stopped"
    assert len(room.processes()) > 8
    assert traces(room)
    return command


def jobs_of(room: Strongroom) -> list[Path]:
    """The work that is waiting or being done."""
    return list((room.home.parent / "repo" / "jobs").glob("*/work-*"))


def assert_clean(room: Strongroom) -> None:
    wait_for(lambda: room.processes() == [])
    wait_for(lambda: traces(room) == [])


def test_after_a_normal_end_and_after_a_failure(room: Strongroom, source: Path) -> None:
    small = source.parent / "small"
    small.mkdir()
    (small / "file").write_text("content")
    room.run("backup", "v", small)
    assert room.processes() == []
    assert traces(room) == []
    room.run("restore", "v", "latest", "--target", source.parent / "restored")
    assert room.processes() == []
    assert traces(room) == []
    room.run("restore", "v", "0123456789", "--target", source.parent / "nothing", code=1)
    assert room.processes() == []
    assert traces(room) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_after_a_signal(room: Strongroom, source: Path, number: signal.Signals) -> None:
    command = start(room, source)
    os.killpg(command.pid, number)
    _, errors = command.communicate(timeout=60)
    assert command.returncode == 130, errors
    assert "Traceback" not in errors
    # The command waits for its stack: nothing is left when it is gone.
    assert room.processes() == []
    assert traces(room) == []


def test_after_kill_9_of_the_command(room: Strongroom, source: Path) -> None:
    command = start(room, source)
    command.kill()
    command.communicate(timeout=60)
    assert_clean(room)


def test_after_kill_9_of_the_supervisor(room: Strongroom, source: Path) -> None:
    command = start(room, source)
    supervisor = next(
        pid for pid in room.processes() if b"workers.stack" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )
    os.kill(supervisor, signal.SIGKILL)
    _, errors = command.communicate(timeout=60)
    assert command.returncode == 1, errors
    assert "the embedded stack died" in errors
    wait_for(lambda: room.processes() == [])
    assert not is_alive(supervisor)
    # It could not remove its folder any more: the next stack does.
    room.run("snapshots", "v")
    assert_clean(room)
