"""The life of the embedded stack: it starts fast, restarts what dies, and leaves nothing, whoever is killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import queues
from config.errors import ConfigError
from config.home import Home
from config.stack_file import StackInfo, decode_line, running_stack
from tests.workers.stack.kept import kept_stack, nothing_left, stack_command
from tests.workers.stack_control import (
    children_of,
    connect,
    environment,
    family_of,
    one_shot,
    parent_of,
    until,
)

ROLES = {*queues.QUEUE_OF_ROLE, queues.BEAT}

# The command: starts a one-shot stack, tells its process id, and does nothing more.
COMMAND = """
import os, socket, subprocess, sys, time
ours, theirs = socket.socketpair()
stack = subprocess.Popen([*sys.argv[1:], "--one-shot-fd", str(theirs.fileno())], pass_fds=(theirs.fileno(),))
theirs.close()
print(stack.pid, flush=True)
sys.stdout.buffer.write(ours.makefile("rb").readline())
sys.stdout.flush()
if not os.fork():
    time.sleep(5)  # a child of the command, which inherited its end of the channel
    os._exit(0)
time.sleep(60)
"""


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[tuple[Home, StackInfo, subprocess.Popen[bytes]]]:
    with kept_stack(tmp_path) as started:
        yield started


def test_it_starts_in_two_seconds_with_all_roles_and_leaves_nothing(tmp_path: Path) -> None:
    begun = time.monotonic()
    with one_shot(tmp_path) as (info, process, _):
        took = time.monotonic() - begun
        assert set(children_of(process.pid)) == ROLES | {"valkey"}
        family = family_of(process.pid)
        assert len(family) >= 8 + 6
    assert process.returncode == 0
    assert nothing_left(family, info.broker_url)
    assert took < 2 or os.getloadavg()[0] > len(os.sched_getaffinity(0))
    assert not list((tmp_path / "run").iterdir())


def test_only_the_key_broker_sees_the_kms_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRONGROOM_KMS_PASSPHRASE", "open sesame")
    with one_shot(tmp_path):
        seen = {
            path.name.removesuffix("-passphrase"): path.read_text()
            for path in (tmp_path / "marks").glob("*-passphrase")
        }
    assert seen == {role: "open sesame" if role == queues.KEY_BROKER else "" for role in queues.QUEUE_OF_ROLE}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killing_the_command_ends_its_stack(tmp_path: Path, number: int) -> None:
    command = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *stack_command(tmp_path)], stdout=subprocess.PIPE, env=environment()
    )
    assert command.stdout is not None
    stack = int(command.stdout.readline())
    info = decode_line(command.stdout.readline())
    family = family_of(stack)
    command.send_signal(number)
    command.wait()
    command.stdout.close()
    until(lambda: nothing_left(family, info.broker_url))


def test_a_bad_setting_is_told_to_who_started_it(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[workers]\nbakcup = 1\n")
    with pytest.raises(ConfigError, match="bakcup"), one_shot(tmp_path):
        pass


def test_a_kept_stack_is_found_is_the_only_one_and_goes_down(
    kept: tuple[Home, StackInfo, subprocess.Popen[bytes]],
) -> None:
    home, info, process = kept
    assert running_stack(home) == info
    assert info.pid == process.pid
    assert home.stack_file.stat().st_mode & 0o777 == 0o600
    assert connect(info.broker_url).llen("scheduler") == 0
    with pytest.raises(ConfigError, match="up already"), kept_stack(home.root):
        pass
    family = family_of(process.pid)
    process.terminate()
    process.wait(timeout=60)
    assert process.returncode == 0
    assert running_stack(home) is None
    assert not home.stack_file.exists()
    assert nothing_left(family, info.broker_url)
    stopped = {path.name.partition("-stopped")[0] for path in (home.root / "marks").glob("*-stopped-*")}
    assert stopped == set(queues.QUEUE_OF_ROLE)  # every process got to wipe its keys


def test_a_kept_stack_survives_the_command_that_started_it(
    kept: tuple[Home, StackInfo, subprocess.Popen[bytes]],
) -> None:
    _, _, process = kept
    assert os.getsid(process.pid) == process.pid
    assert parent_of(process.pid) == os.getpid()
