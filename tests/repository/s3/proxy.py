"""A TCP proxy in front of a real S3 server that spoils requests by a script.

One request for each connection (it adds `Connection: close`), so that every request can be judged. Requests keep their
Host, so signatures stay valid.
"""

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.listener import Head, Listener, parse_head, read_head

MAX_HOLD_S = 25
_BLOCK = 64 << 10


Request = Head
"""What was asked."""


@dataclass
class Fault:
    """Spoils the first `times` requests that `matches`; only what is set below.

    Attributes:
        status, code, extra, said: answer so, and never ask the server.
        drop: close the connection: "request" before the server sees it, "answer" after it has done what was asked.
        cut_answer: pass on so many bytes of the answer's body, then close.
        flip_request, flip_answer: change a bit of the body's byte at this place.
        hold: wait for it before the server sees the request.
        pause_s: wait before the answer is passed on.
        drip: pass on the answer's body one byte at a time, with that pause.
    """

    matches: Callable[[Request], bool] = lambda request: True
    times: int = 1
    status: int = 0
    code: str = ""
    said: str = ""
    extra: dict[str, str] = field(default_factory=dict)
    drop: str = ""
    cut_answer: int = -1
    flip_request: int = -1
    flip_answer: int = -1
    pause_s: float = 0.0
    drip_s: float = 0.0
    hold: threading.Event | None = None


class Proxy:
    """Listens on loopback, in clear, and passes on to `upstream`; over TLS if that is an https:// URL, under `ca`."""

    def __init__(self, upstream: str, ca: Path | None = None) -> None:
        host, _, port = upstream.partition("://")[2].partition(":")
        self._upstream = (host, int(port))
        self._tls = ssl.create_default_context(cafile=ca) if upstream.startswith("https:") else None
        self.faults: list[Fault] = []
        self.seen: list[Request] = []
        self._lock = threading.Lock()
        self._listener = Listener(self._serve)
        self._closing = self._listener.closing
        self.endpoint = f"http://{self._listener.address}"

    def close(self) -> None:
        """Accept no more; connections that are open end by themselves."""
        self._listener.close()

    def count(self, method: str, part: str = "") -> int:
        """How many such requests came."""
        return sum(1 for each in self.seen if each.method == method and part in each.target)

    def _serve(self, connection: socket.socket) -> None:
        head, rest = read_head(connection)
        if not head:
            return
        request = parse_head(head)
        fault = self._judge(request)
        if fault.hold is not None:
            fault.hold.wait(MAX_HOLD_S)
        if fault.status:
            _drain(connection, request, rest)
            connection.sendall(_answer(fault))
        elif fault.drop == "request":
            _drain(connection, request, rest)
            _reset(connection)
        else:
            self._pass_on(connection, request, rest, fault)

    def _judge(self, request: Request) -> Fault:
        with self._lock:
            self.seen.append(request)
            for fault in self.faults:
                if fault.times and fault.matches(request):
                    fault.times -= 1
                    return fault
        return Fault()

    def _pass_on(self, connection: socket.socket, request: Request, rest: bytes, fault: Fault) -> None:
        with self._connected() as server:
            line, _, others = request.raw.partition(b"\r\n")
            server.sendall(line + b"\r\nConnection: close\r\n" + _without(others, b"connection", b"expect"))
            if "100-continue" in request.headers.get("expect", ""):
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._send_body(connection, server, request, rest, fault)
            if fault.drop == "answer":
                read_head(server)
                _reset(connection)
                return
            time.sleep(fault.pause_s)
            self._send_answer(connection, server, fault)

    def _connected(self) -> socket.socket:
        server = socket.create_connection(self._upstream, timeout=30)
        return self._tls.wrap_socket(server, server_hostname=self._upstream[0]) if self._tls else server

    def _send_body(
        self, connection: socket.socket, server: socket.socket, request: Request, rest: bytes, fault: Fault
    ) -> None:
        left, at = request.length, 0
        while left > 0:
            block = bytearray(rest or connection.recv(_BLOCK))
            rest = b""
            if not block:
                return
            if at <= fault.flip_request < at + len(block):
                block[fault.flip_request - at] ^= 1
            server.sendall(block)
            at += len(block)
            left -= len(block)

    def _send_answer(self, connection: socket.socket, server: socket.socket, fault: Fault) -> None:
        head, rest = read_head(server)
        connection.sendall(head)
        at = 0
        while block := bytearray(rest or server.recv(_BLOCK)):
            rest = b""
            if at <= fault.flip_answer < at + len(block):
                block[fault.flip_answer - at] ^= 1
            if 0 <= fault.cut_answer < at + len(block):
                connection.sendall(block[: fault.cut_answer - at])
                return
            at += len(block)
            if not fault.drip_s:
                connection.sendall(block)
                continue
            for byte in block:
                connection.sendall(bytes([byte]))
                if self._closing.wait(fault.drip_s):
                    return


@contextmanager
def proxy(upstream: str, ca: Path | None = None) -> Iterator[Proxy]:
    """A proxy for the length of the block."""
    running = Proxy(upstream, ca)
    try:
        yield running
    finally:
        running.close()


def _without(head: bytes, *names: bytes) -> bytes:
    lines = [line for line in head.split(b"\r\n") if line.partition(b":")[0].strip().lower() not in names]
    return b"\r\n".join(lines)


def _drain(connection: socket.socket, request: Request, rest: bytes) -> None:
    if "expect" in request.headers:
        return  # the client has not begun to send it
    left = request.length - len(rest)
    while left > 0 and (block := connection.recv(_BLOCK)):
        left -= len(block)


def _answer(fault: Fault) -> bytes:
    body = b""
    if fault.code:
        extra = "".join(f"<{name}>{value}</{name}>" for name, value in fault.extra.items() if "-" not in name)
        body = (
            f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{fault.code}</Code>"
            f"<Message>{fault.said or 'as the script says'}</Message>{extra}<RequestId>R1</RequestId></Error>"
        ).encode()
    lines = [f"HTTP/1.1 {fault.status} Scripted", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in fault.extra.items() if "-" in name or name == "Date"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _reset(connection: socket.socket) -> None:
    """Close so that the other side gets an error and no end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
