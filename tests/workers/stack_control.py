"""Start the real stack with fake roles and look at it from outside; shared by the tests of workers/."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from config.queues import QUEUE_OF_ROLE
from config.stack_file import StackInfo, decode_line

ROOT = Path(__file__).parents[2]


def fake_roles() -> list[str]:
    """Arguments that replace every role's module by tests/workers/fake_role.py."""
    return [part for role in QUEUE_OF_ROLE for part in ("--role", f"{role}=tests.workers.fake_role")]


def environment() -> dict[str, str]:
    """Our environment, with the fake roles importable and Celery misled where it could be."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        # Somebody else's: must be ignored.
        "CELERY_BROKER_URL": "redis://localhost:1/0",
    }


@contextmanager
def one_shot(
    home: Path, *more: str, descriptor: int = 3
) -> Iterator[tuple[StackInfo, subprocess.Popen[bytes], socket.socket]]:
    """A stack that ends with the block; it is handed down its end of the socket as no less a descriptor."""
    ours, theirs = socket.socketpair()
    end = fcntl.fcntl(theirs, fcntl.F_DUPFD, descriptor)
    theirs.close()
    arguments = [sys.executable, "-m", "workers.stack", "--home", str(home), *fake_roles(), *more]
    stack = subprocess.Popen([*arguments, "--one-shot-fd", str(end)], pass_fds=(end,), env=environment())
    os.close(end)
    try:
        ours.settimeout(30)
        with ours.makefile("rb") as answers:
            yield decode_line(answers.readline(65536)), stack, ours
    finally:
        ours.close()
        try:
            stack.wait(timeout=60)
        except subprocess.TimeoutExpired:
            stack.kill()
            raise


def socket_of(url: str) -> Path:
    """The socket that a broker URL names."""
    return Path(url.partition("@")[2].partition("?")[0])


def connect(url: str) -> Any:
    """A plain connection as the user of a broker URL."""
    user, _, password = url.removeprefix("redis+socket://").partition("@")[0].partition(":")
    return redis.Redis.from_url(f"unix://{user}:{password}@{socket_of(url)}?protocol=2")


def children_of(pid: int) -> dict[str, int]:
    """The processes that a supervisor started, by the last word of their title."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and parent_of(int(entry.name)) == pid:
            title = (entry / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode()
            name = "valkey" if "valkey-server" in title else title.rpartition(" ")[2]
            found[name] = int(entry.name)
    return found


def parent_of(pid: int) -> int:
    """The parent of a process, 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def family_of(pid: int) -> set[int]:
    """A process and all its descendants."""
    family = {pid}
    while True:
        more = {
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and parent_of(int(entry.name)) in family
        }
        if more <= family:
            return family
        family |= more


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for something that must come about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def kill(pid: int) -> None:
    """kill -9."""
    os.kill(pid, signal.SIGKILL)
