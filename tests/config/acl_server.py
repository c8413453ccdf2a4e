"""Real servers under the product's ACL: the embedded Valkey on its socket, and an installed Redis over mutual TLS.

The Redis is used by `make test-redis`, which sets REDIS_SERVER; tests install nothing.
"""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from config import acl
from config.broker import BrokerSettings, redis_arguments
from crypto import pki
from tests.ports import port_of, reserve
from workers.stack.passwords import Passwords
from workers.stack.valkey import Valkey

HOSTS = ("web1", "web2")
ADMIN = "user admin reset on nopass ~* &* +@all\n"
REDIS_SERVER = os.environ.get("REDIS_SERVER", "")


class Server:
    """A real server with every user, two hosts' among them, and an administrator, whom the product does not have."""

    def __init__(self) -> None:
        self.passwords = Passwords(acl.users(HOSTS))
        self._connections: dict[str, Any] = {}

    def connect(self, user: str) -> Any:
        if user not in self._connections:
            self._connections[user] = self.login(user, self.passwords[user].decode())
        return self._connections[user]

    @property
    def admin(self) -> Any:
        return self._connections.setdefault("admin", self.login("admin", "x"))

    def login(self, user: str, password: str) -> Any:
        raise NotImplementedError

    def nobody(self) -> Any:
        """A connection without user and password."""
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError


class ValkeyServer(Server):
    """The server of the embedded stack."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        valkey = Valkey(folder, folder / "valkey.log")
        valkey.configure(self.passwords, extra_acl=ADMIN)
        self._socket = str(valkey.socket)
        self._pid = valkey.start()
        valkey.wait(self._pid)

    def url(self, user: str) -> str:
        """How a role reaches it."""
        return f"redis+socket://{user}:{self.passwords[user].decode()}@{self._socket}"

    def login(self, user: str, password: str) -> Any:
        url = f"unix://{user}:{password}@{self._socket}?protocol=2"
        return redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0))

    def nobody(self) -> Any:
        return redis.Redis.from_url(f"unix://{self._socket}", retry=Retry(NoBackoff(), 0))

    def stop(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


class RedisServer(Server):
    """A Redis with TLS 1.2 or newer, which lets nobody in without a certificate of the CA."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        authority = pki.new_authority("test")
        (folder / "ca.crt").write_bytes(authority.certificate)
        for name, issued in (
            ("server", authority.issue_server("broker", ("localhost", "127.0.0.1"))),
            ("client", authority.issue_client("backup")),
        ):
            (folder / f"{name}.crt").write_bytes(issued.certificate)
            (folder / f"{name}.key").write_bytes(issued.key)
        (folder / "users.acl").write_text(acl.for_redis_7_0(acl.acl_file(self.passwords)) + ADMIN)
        self._held = reserve()
        self.port = port_of(self._held)
        options = {
            "port": "0",
            "tls-port": str(self.port),
            "bind": "127.0.0.1",
            "tls-cert-file": str(folder / "server.crt"),
            "tls-key-file": str(folder / "server.key"),
            "tls-ca-cert-file": str(folder / "ca.crt"),
            "tls-auth-clients": "yes",
            "tls-protocols": '"TLSv1.2 TLSv1.3"',
            "aclfile": str(folder / "users.acl"),
            "dir": str(folder),
            "save": '""',
        }
        (folder / "redis.conf").write_text("".join(f"{name} {value}\n" for name, value in options.items()))
        self.folder = folder
        with (folder / "redis.log").open("wb") as log:
            self._process = subprocess.Popen([REDIS_SERVER, str(folder / "redis.conf")], stdout=log)
        deadline = time.monotonic() + 60
        while True:
            try:
                self.admin.ping()
                break
            except redis.exceptions.ConnectionError:
                assert self._process.poll() is None, (folder / "redis.log").read_text()
                assert time.monotonic() < deadline
                self._connections.clear()
                time.sleep(0.05)

    @property
    def broker(self) -> BrokerSettings:
        """How a role reaches it."""
        return BrokerSettings(
            url=f"rediss://localhost:{self.port}/0",
            ca_file=str(self.folder / "ca.crt"),
            cert_file=str(self.folder / "client.crt"),
            key_file=str(self.folder / "client.key"),
        )

    def login(self, user: str, password: str) -> Any:
        url, tls = redis_arguments(self.broker, f"rediss://{user}:{password}@localhost:{self.port}/0")
        return redis.Redis.from_url(url, protocol=2, retry=Retry(NoBackoff(), 0), **tls)

    def nobody(self) -> Any:
        url, tls = redis_arguments(self.broker, self.broker.url)
        return redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), **tls)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._held.close()
