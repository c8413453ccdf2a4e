"""A real Valkey with our users, for tests that ask for nothing else of a stack."""

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from workers.stack.passwords import Passwords
from workers.stack.valkey import Valkey

ADMIN = "user tester on nopass ~* &* +@all\n"


class Server:
    """A server that can be killed, and comes back only when it is told to.

    Args:
        folder: private, with a short path.
        users: who may connect.
    """

    def __init__(self, folder: Path, *users: str) -> None:
        self._valkey = Valkey(folder, folder / "valkey.log")
        passwords = Passwords(users)
        self._valkey.configure(passwords, extra_acl=ADMIN)
        self._urls = {user: self._valkey.url(user, passwords[user]) for user in users}
        self.pid = 0
        self.start()

    def url(self, user: str) -> str:
        """As the role of that user has it."""
        return self._urls[user]

    def admin(self) -> redis.Redis:
        """A client that may look at everything."""
        return redis.Redis(unix_socket_path=str(self._valkey.socket), username="tester", password="any")

    def start(self) -> None:
        self.pid = self._valkey.start()
        self._valkey.wait(self.pid)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


@contextmanager
def broker_server(*users: str) -> Iterator[Server]:
    """A server that ends with the block."""
    with tempfile.TemporaryDirectory(prefix="broker-") as folder:
        running = Server(Path(folder), *users)
        try:
            yield running
        finally:
            running.kill()
