"""An HTTP server that answers whatever a test says, byte by byte: dripping, without end, cut, malformed.

What it sends is a generator's blocks, so a test can pause between any two bytes of an answer, above or below HTTP.
"""

import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from tests.listener import MAX_HEAD, Listener, parse_head, read_head


@dataclass(frozen=True)
class Asked:
    """One request; names of headers in small letters."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """Decoded, without the query."""
        return unquote(urlsplit(self.target).path)

    def option(self, name: str) -> str:
        """One of the query; "" if it is not there."""
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True).get(name, [""])[0]


Script = Callable[[Asked], Iterable[bytes]]


class EvilServer:
    """Listens on loopback; `script` gives the blocks of each answer, after which the connection is closed.

    Args:
        script: may be exchanged at any time.
        tls: certificate and key, for HTTPS.
    """

    def __init__(self, script: Script, tls: tuple[Path, Path] | None = None) -> None:
        self.script = script
        self.seen: list[Asked] = []
        self._tls: ssl.SSLContext | None = None
        if tls is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(*tls)
        self._listener = Listener(self._serve)
        self._closing = self._listener.closing
        self.url = f"{'https' if tls else 'http'}://{self._listener.address}"

    def close(self) -> None:
        """End every answer, and accept no more."""
        self._listener.close()

    def drip(self, data: bytes, pause_s: float = 0.1) -> Iterator[bytes]:
        """The bytes one by one."""
        for byte in data:
            yield bytes([byte])
            if self._closing.wait(pause_s):
                return

    def endless(self, block: bytes) -> Iterator[bytes]:
        """The block again and again."""
        while not self._closing.is_set():
            yield block

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._tls.wrap_socket(connection, server_side=True) if self._tls else connection as line:
            asked = _read(line)
            if asked is None:
                return
            self.seen.append(asked)
            for block in self.script(asked):
                line.sendall(block)
            line.shutdown(socket.SHUT_WR)
            while line.recv(MAX_HEAD):
                pass


@contextmanager
def evil(script: Script, tls: tuple[Path, Path] | None = None) -> Iterator[EvilServer]:
    """A server for the length of the block."""
    server = EvilServer(script, tls)
    try:
        yield server
    finally:
        server.close()


def answer(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    """A whole answer; headers with underscores for dashes, and instead of those it has by itself."""
    all_headers = {"Content-Length": str(len(body)), "Connection": "close"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in all_headers.items() if value)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _read(line: socket.socket) -> Asked | None:
    raw, body = read_head(line)
    if not raw:
        return None
    head = parse_head(raw)
    if "expect" not in head.headers:
        while len(body) < head.length:
            block = line.recv(MAX_HEAD)
            if not block:
                return None
            body += block
    return Asked(head.method, head.target, head.headers, body)
