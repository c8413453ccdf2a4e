"""Full power over a running stack's own broker, which the product gives to nobody: for the tests that need it.

Whoever owns the machine can have it: add a user to the server's user file and let the server start again. The
supervisor brings it back, and the roles come back to it.
"""

import hashlib
import os
import re
import secrets
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from config import queues
from config.home import Home
from config.stack_file import running_stack
from tests.workers.stack_control import socket_of, until

ADMIN = "intruder"
# What a value of each type is read with; a type that is not here is an error of the test.
READ = {
    b"string": ("GET",),
    b"list": ("LRANGE", 0, -1),
    b"hash": ("HGETALL",),
    b"set": ("SMEMBERS",),
    b"zset": ("ZRANGE", 0, -1),
}


class Intruder:
    """An administrator of the broker of the stack that is up in `home`.

    Args:
        home: of the installation.
    """

    def __init__(self, home: Path) -> None:
        info = running_stack(Home(home))
        assert info is not None, "no stack is up"
        self.socket = socket_of(info.broker_url)
        self.supervisor = info.pid
        self._password = secrets.token_hex(16)
        self._connections: dict[str, Any] = {}
        digest = hashlib.sha256(self._password.encode()).hexdigest()
        with (self.socket.parent / "users.acl").open("a") as users:
            users.write(f"user {ADMIN} reset on #{digest} ~* &* +@all\n")
        self.kill_server()

    @property
    def redis(self) -> Any:
        """A connection that may do anything."""
        return self.connect(ADMIN)

    def connect(self, user: str) -> Any:
        """A connection as one of the broker's users, who gets a second password for it."""
        if user not in self._connections:
            if user != ADMIN:
                self.redis.execute_command("ACL", "SETUSER", user, f">{self._password}")
            self._connections[user] = redis.Redis.from_url(
                f"unix://{user}:{self._password}@{self.socket}?protocol=2"
            )
        return self._connections[user]

    def server(self) -> int:
        """The process id of the server."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(self.socket))
            size = struct.calcsize("3i")
            pid: int = struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[0]
        return pid

    def kill_server(self) -> None:
        """kill -9, and wait until every role waits for messages again."""
        os.kill(self.server(), signal.SIGKILL)
        self._connections.clear()
        until(self.all_serve, 60)

    def all_serve(self) -> bool:
        """Whether every role waits for messages."""
        try:
            clients = self.redis.client_list()
        except (redis.exceptions.RedisError, OSError):
            return False
        waiting = {client["user"] for client in clients if client["cmd"] == "brpop"}
        return waiting.issuperset(queues.QUEUE_OF_ROLE)

    def push(self, queue: str, frame: bytes, user: str = ADMIN) -> bool:
        """Put a message into a queue; False when that user may not."""
        try:
            self.connect(user).lpush(queue, frame)
        except redis.exceptions.NoPermissionError:
            return False
        return True

    def at_rest(self) -> bool:
        """Whether no message waits and none is being worked on."""
        unacked = [f"unacked.{role}" for role in queues.QUEUE_OF_ROLE]
        return not self.redis.exists(*queues.QUEUES, *unacked)

    def settle(self) -> None:
        """Wait until every message that was sent has been dealt with, and what it caused as well."""
        quiet = 0

        def is_quiet() -> bool:
            nonlocal quiet
            quiet = quiet + 1 if self.at_rest() else 0
            return quiet > 20

        until(is_quiet, 60)

    def dataset(self) -> dict[bytes, bytes]:
        """Every key with everything that is in it."""
        found = {}
        for key in self.redis.scan_iter(count=1000):
            kind = self.redis.type(key)
            if kind == b"none":
                continue  # gone
            command, *rest = READ[kind]
            try:
                found[key] = b"\n".join(_flat(self.redis.execute_command(command, key, *rest)))
            except redis.exceptions.ResponseError:
                continue  # gone, and come back as something else
        return found


def _flat(value: Any) -> Iterator[bytes]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from (bytes(name), bytes(inner))
    elif isinstance(value, list | set | tuple):
        for each in value:
            yield from _flat(each)
    elif value is not None:
        yield bytes(value)


class Recorder:
    """Writes down every command that the broker is given, and its whole dataset again and again."""

    def __init__(self, intruder: Intruder) -> None:
        self._intruder = intruder
        self._stopped = threading.Event()
        self._commands = bytearray()
        self.datasets: set[tuple[bytes, bytes]] = set()
        """Every state of every key that was seen."""

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record while the block runs."""
        listener = socket.socket(socket.AF_UNIX)
        listener.connect(str(self._intruder.socket))
        listener.sendall(f"AUTH {ADMIN} {self._intruder._password}\r\nMONITOR\r\n".encode())
        threads = [
            threading.Thread(target=self._listen, args=(listener,)),
            threading.Thread(target=self._dump),
        ]
        for thread in threads:
            thread.start()
        until(lambda: self._commands.count(b"+OK\r\n") >= 2)
        try:
            yield
        finally:
            time.sleep(0.3)  # the last commands are on their way
            self._stopped.set()
            listener.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()
            listener.close()

    def commands(self) -> list[bytes]:
        """Every command as it was given, its arguments separated by zeros."""
        return [b"\0".join(_arguments(line)) for line in bytes(self._commands).split(b"\r\n") if b'"' in line]

    def pushed(self, queue: str) -> list[bytes]:
        """The messages that were put into a queue, oldest first."""
        start = b"\0".join((b"LPUSH", queue.encode(), b""))
        return [
            command[len(start) :] for command in self.commands() if command.upper().startswith(start.upper())
        ]

    def _listen(self, listener: socket.socket) -> None:
        while more := listener.recv(1 << 20):
            self._commands += more

    def _dump(self) -> None:
        while not self._stopped.wait(0.01):
            try:
                self.datasets.update(self._intruder.dataset().items())
            except redis.exceptions.ConnectionError:
                time.sleep(0.05)  # the server was killed


_ARGUMENT = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(rb"\\(x[0-9a-f]{2}|.)", re.DOTALL)
_NAMED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}


def _arguments(line: bytes) -> list[bytes]:
    """The arguments of a line of MONITOR, which writes them as sdscatrepr of Valkey does."""
    return [_ESCAPE.sub(_unescaped, found) for found in _ARGUMENT.findall(line)]


def _unescaped(match: re.Match[bytes]) -> bytes:
    code = match[1]
    return bytes.fromhex(code[1:].decode()) if len(code) == 3 else _NAMED.get(code, code)
