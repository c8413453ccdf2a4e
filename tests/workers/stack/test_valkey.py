"""The embedded server's own troubles."""

import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from config import queues
from workers.stack.errors import ServerFailed
from workers.stack.passwords import Passwords
from workers.stack.valkey import MAX_SOCKET_PATH, Valkey, server_binary


def test_a_path_that_no_socket_can_have_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ServerFailed, match="longer") as refusal:
        Valkey(tmp_path / ("x" * MAX_SOCKET_PATH), tmp_path / "log")
    assert "TMPDIR" in refusal.value.remedy


def test_a_server_that_does_not_start_is_noticed_at_once(tmp_path: Path) -> None:
    valkey = Valkey(tmp_path, tmp_path / "valkey.log")
    valkey.configure({}, extra_acl="user nonsense +no|such|command\n")
    pid = valkey.start()
    with pytest.raises(ServerFailed, match="does not start"):
        valkey.wait(pid)


COMPOSE = Path(__file__).parents[3] / "deploy" / "compose" / "valkey.conf"
MIB = 1 << 20


class Server:
    """A running one with a backup worker's user and the scheduler's."""

    def __init__(self, folder: Path) -> None:
        self.valkey = Valkey(folder, folder / "valkey.log")
        self.config = folder / "valkey.conf"
        self.passwords = Passwords([queues.BACKUP, queues.SCHEDULER])
        self.valkey.configure(self.passwords)
        self.pid = self.valkey.start()
        self.valkey.wait(self.pid)

    def login(self, user: str) -> Any:
        name = f"{user}:{self.passwords[user].decode()}"
        return redis.Redis.from_url(f"unix://{name}@{self.valkey.socket}?protocol=2")

    def raw(self, user: str) -> socket.socket:
        """A logged in connection that reads only what the test reads."""
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(20)
        made.connect(str(self.valkey.socket))
        made.sendall(f"AUTH {user} {self.passwords[user].decode()}\r\n".encode())
        assert made.recv(5) == b"+OK\r\n"
        return made

    def resident(self) -> int:
        """Bytes."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="valkey-") as folder:
        running = Server(Path(folder))
        yield running
        os.kill(running.pid, signal.SIGKILL)
        os.waitpid(running.pid, 0)


def test_answers_that_nobody_reads_leave_room_for_messages(server: Server) -> None:
    role = server.login(queues.BACKUP)
    role.hset("unacked.backup", "tag", b"x" * (12 * MIB))
    request = b"*3\r\n$4\r\nHGET\r\n$14\r\nunacked.backup\r\n$3\r\ntag\r\n"
    with ExitStack() as held:
        for _ in range(16):
            # 60 MiB each, less than one connection may have waiting.
            held.enter_context(server.raw(queues.BACKUP)).sendall(request * 5)
        for _ in range(5):
            assert server.login(queues.SCHEDULER).lpush(queues.BACKUP_QUEUE, "wake up")
        assert server.resident() < 400 * MIB


def test_one_connection_cannot_have_more_waiting_than_its_share(server: Server) -> None:
    role = server.login(queues.BACKUP)
    role.hset("unacked.backup", "tag", b"x" * (30 * MIB))
    request = b"*3\r\n$4\r\nHGET\r\n$14\r\nunacked.backup\r\n$3\r\ntag\r\n"
    with server.raw(queues.BACKUP) as greedy:
        greedy.sendall(request * 20)
        for _ in range(5):
            assert server.login(queues.SCHEDULER).lpush(queues.BACKUP_QUEUE, "wake up")
        assert server.resident() < 250 * MIB


def test_commands_that_are_never_finished_leave_room_for_messages(server: Server) -> None:
    begun = b"*3\r\n$5\r\nLPUSH\r\n$6\r\nbackup\r\n$%d\r\n" % (31 * MIB) + b"x" * (30 * MIB)
    with ExitStack() as held:
        for _ in range(18):
            try:
                held.enter_context(server.raw(queues.BACKUP)).sendall(begun)
            except OSError:
                continue  # put out of the door in the middle of it
        assert server.login(queues.SCHEDULER).lpush(queues.BACKUP_QUEUE, "wake up")
        assert server.resident() < 400 * MIB


def test_the_broker_of_docker_compose_has_the_same_limits(server: Server) -> None:
    def limits(path: Path) -> dict[str, str]:
        pairs = (line.partition(" ")[::2] for line in path.read_text().splitlines())
        return {name: value for name, value in pairs if "mem" in name or "limit" in name or "max-" in name}

    assert limits(COMPOSE) == limits(server.config)
    assert "maxmemory-clients" in limits(COMPOSE)


def test_there_is_a_server_for_this_machine() -> None:
    assert Path(server_binary()).is_file()
