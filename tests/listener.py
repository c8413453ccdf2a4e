"""What the tests' own HTTP servers have in common: a thread for each connection, and a request's head."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

MAX_HEAD = 64 << 10
_BLOCK = 64 << 10


class Listener:
    """Listens on a port of loopback that is free; `serve` has each connection to itself, and may break off."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self.closing = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Accept no more; connections that are open end by themselves, and see `closing`."""
        self.closing.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.settimeout(30)
            self._serve(connection)


class Head(NamedTuple):
    """The head of a request as it came, and its parts; names of headers in small letters."""

    raw: bytes
    method: str
    target: str
    headers: dict[str, str]

    @property
    def length(self) -> int:
        """Of the body."""
        return int(self.headers.get("content-length", "0"))


def read_head(connection: socket.socket) -> tuple[bytes, bytes]:
    """A head with the empty line at its end, and what came after it; nothing if there was no whole one."""
    data = b""
    while b"\r\n\r\n" not in data:
        block = connection.recv(_BLOCK)
        if not block or len(data) > MAX_HEAD:
            return b"", b""
        data += block
    head, _, rest = data.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def parse_head(raw: bytes) -> Head:
    """The parts of a request's head."""
    first, *others = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (each.partition(":") for each in others)
    }
    return Head(raw, method, target, headers)
