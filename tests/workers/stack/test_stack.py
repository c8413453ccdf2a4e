"""The life of the embedded stack: it starts fast, restarts what dies, and leaves nothing, whoever is killed."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from config import queues
from config.errors import ConfigError
from config.home import Home
from config.settings import Settings
from config.stack_file import StackInfo, decode_line, running_stack
from tests.workers.stack_control import (
    children_of,
    connect,
    environment,
    fake_roles,
    family_of,
    is_alive,
    kill,
    one_shot,
    parent_of,
    socket_of,
    until,
)
from workers.app import make_app
from workers.task import send

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


def stack_command(home: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "workers.stack", "--home", str(home), *fake_roles(), *more]


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[tuple[Home, StackInfo, subprocess.Popen[bytes]]]:
    with kept_stack(tmp_path) as started:
        yield started


class kept_stack:  # noqa: N801 - reads like the function that it stands for
    """A stack that is kept up, as `strongroom up` starts it."""

    def __init__(self, home: Path, *more: str) -> None:
        self._home = home
        self._more = more

    def __enter__(self) -> tuple[Home, StackInfo, subprocess.Popen[bytes]]:
        readable, writable = os.pipe()
        self._stack = subprocess.Popen(
            stack_command(self._home, "--ready-fd", str(writable), *self._more),
            pass_fds=(writable,),
            env=environment(),
        )
        os.close(writable)
        with open(readable, "rb") as answers:
            line = answers.readline()
        try:
            info = decode_line(line)
        except ConfigError:
            self._stack.wait(timeout=60)
            raise
        return Home(self._home), info, self._stack

    def __exit__(self, *_: object) -> None:
        self._stack.terminate()
        self._stack.wait(timeout=60)


def nothing_left(family: set[int], url: str) -> bool:
    return not any(is_alive(pid) for pid in family) and not socket_of(url).exists()


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


def test_everything_private_is_owner_only(tmp_path: Path) -> None:
    with one_shot(tmp_path) as (info, _, _):
        folder = socket_of(info.broker_url).parent
        assert folder.stat().st_mode & 0o777 == 0o700
        for path in [*folder.iterdir(), *(tmp_path / "logs").iterdir()]:
            assert path.stat().st_mode & 0o077 == 0, path
        password = info.broker_url.partition("@")[0].rpartition(":")[2]
        for path in [*folder.glob("*.acl"), *folder.glob("*.conf"), *(tmp_path / "logs").iterdir()]:
            assert password not in path.read_text(errors="replace")


def test_roles_cannot_be_dumped_or_traced(tmp_path: Path) -> None:
    with one_shot(tmp_path) as (_, process, _):
        for name, pid in children_of(process.pid).items():
            limits = Path(f"/proc/{pid}/limits").read_text()
            assert re.search(r"Max core file size +0 +0 ", limits), name
        for role in queues.QUEUE_OF_ROLE:
            said = tmp_path / "marks" / f"{role}-hardened"
            until(lambda: said.exists() and said.read_text() == "True")  # noqa: B023


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


def test_killing_the_supervisor_ends_everything_and_the_next_start_cleans_up(tmp_path: Path) -> None:
    with one_shot(tmp_path) as (info, process, _):
        family = family_of(process.pid)
        kill(process.pid)
        until(lambda: not any(is_alive(pid) for pid in family))
        folder = socket_of(info.broker_url).parent
        assert folder.exists()
    with one_shot(tmp_path):
        assert not folder.exists()


@pytest.mark.parametrize("role", [queues.SCHEDULER, queues.KEY_BROKER, queues.BACKUP, queues.BEAT])
def test_a_killed_role_is_back_with_its_whole_family(tmp_path: Path, role: str) -> None:
    with one_shot(tmp_path) as (_, process, _):
        first = children_of(process.pid)[role]
        family = family_of(first)
        kill(first)
        until(lambda: children_of(process.pid).get(role, first) != first)
        until(lambda: not any(is_alive(pid) for pid in family))
        if role != queues.BEAT:
            queue = queues.QUEUE_OF_ROLE[role]
            app = make_app(role, Settings(), (tmp_path / "marks" / f"{role}-url").read_text())
            send(app, f"{queue}.mark", "again")
            until((tmp_path / "marks" / "again").exists)
            app.close()


def test_a_task_survives_the_death_of_its_worker(tmp_path: Path) -> None:
    with one_shot(tmp_path) as (_, process, _):
        app = make_app(queues.BACKUP, Settings(), (tmp_path / "marks" / "backup-url").read_text())
        send(app, "backup.hold", "work", 5)
        until((tmp_path / "marks" / "work-begun").exists)
        pool = next(pid for pid in family_of(children_of(process.pid)["backup"]) if busy_with(tmp_path, pid))
        (tmp_path / "marks" / "work-begun").unlink()
        kill(pool)
        until((tmp_path / "marks" / "work-done").exists)
        app.close()


def busy_with(home: Path, pid: int) -> bool:
    return (home / "marks" / f"busy-{pid}").exists()


def test_a_killed_server_is_back_and_every_role_serves_again(tmp_path: Path) -> None:
    with one_shot(tmp_path) as (info, process, _):
        before = children_of(process.pid)
        kill(before["valkey"])
        until(lambda: children_of(process.pid).get("valkey", before["valkey"]) != before["valkey"])
        for role, queue in queues.QUEUE_OF_ROLE.items():
            url = (tmp_path / "marks" / f"{role}-url").read_text()
            until(lambda: answers(url), 5)  # noqa: B023 - awaited in the same turn
            app = make_app(role, Settings(), url)
            send(app, f"{queue}.mark", f"after-{role}")
            app.close()
        for role in queues.QUEUE_OF_ROLE:
            until((tmp_path / "marks" / f"after-{role}").exists)
        after = children_of(process.pid)
        assert connect(info.broker_url).llen("backup") == 0
        assert {role: after[role] for role in ROLES} == {role: before[role] for role in ROLES}


def answers(url: str) -> bool:
    try:
        return bool(connect(url).ping())
    except redis.exceptions.ConnectionError:
        return False


def test_a_role_that_cannot_start_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match="backup role does not start") as failure,
        one_shot(tmp_path, "--role", "backup=tests.workers.no_such_role"),
    ):
        pass
    assert "backup.log" in failure.value.remedy
    assert "no_such_role" in (tmp_path / "logs" / "backup.log").read_text()


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


def get(url: str, user: str = "", password: str = "", data: bytes | None = None) -> tuple[int, str]:
    request = urllib.request.Request(url, data=data)
    if user:
        request.add_header("Authorization", "Basic " + b64encode(f"{user}:{password}".encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, ""


def test_flower_shows_tasks_to_who_knows_the_password_and_lets_nobody_act(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[monitor]\nflower_port = 0\n")
    with kept_stack(tmp_path, "--flower") as (_, info, _):
        assert info.flower_url.startswith("http://127.0.0.1:")
        login = (info.flower_user, info.flower_password)
        assert get(info.flower_url + "api/tasks")[0] == 401
        assert get(info.flower_url + "workers")[0] == 401
        assert get(info.flower_url + "api/tasks", "strongroom", "wrong")[0] == 401
        app = make_app(queues.BACKUP, Settings(), (tmp_path / "marks" / "backup-url").read_text())

        def shown() -> str:
            return get(info.flower_url + "api/tasks", *login)[1]

        def seen_after_sending() -> bool:
            send(app, "backup.mark", "hush")
            return "backup.mark" in shown()

        until(seen_after_sending)
        send(app, "backup.leak", "hush")
        until(lambda: "FAILURE" in shown())
        tasks = json.loads(shown())
        # None: Flower connected between the task's first event and its next.
        assert {task["args"] for task in tasks.values()} <= {"sealed", None}
        assert "hush" not in shown()
        assert "TaskFailed" in shown()
        for action in ("task/send-task/backup.mark", "worker/shutdown/backup@strongroom"):
            assert get(info.flower_url + "api/" + action, *login, data=b'{"args":["acted"]}')[0] == 403
        assert not (tmp_path / "marks" / "acted").exists()
        app.close()
