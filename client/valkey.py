"""The few commands of Valkey that the command needs, spoken directly (RESP 2, valkey.io/topics/protocol).

redis-py takes a tenth of a second to import, a third of what restoring one small file takes; Celery as much again.
"""

import socket
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

MAX_REPLY: Final = 16 << 20
"""Bytes of one reply; a letter is far smaller."""
_MAX_LINE: Final = 64 * 1024
_MAX_ITEMS: Final = 1024
_DEFAULT_PORT: Final = 6379
_PIECE: Final = 64 * 1024

Word = bytes | str | int | float
Reply = bytes | int | None | list["Reply"]


class Refused(Exception):
    """The server answered with an error; its text begins with a code in capitals."""


class NotValkey(OSError):
    """What answered does not speak the protocol, or says more than it may."""


class Valkey:
    """One connection, made when it is first needed and made again after any trouble. Not for several threads.

    Args:
        url: `unix://user:password@/path`, `redis://user:password@host:port/0` or `rediss://...`: a secret.
        tls: as `config.broker.redis_arguments` gives it for `rediss://`.
        connect_s: how long connecting may take.
        answer_s: how long an answer may take, beyond what the command itself waits.
    """

    def __init__(self, url: str, tls: dict[str, Any], connect_s: float, answer_s: float) -> None:
        self._parts = urlsplit(url)
        self._tls = tls
        self._connect_s, self._answer_s = connect_s, answer_s
        self._socket: socket.socket | None = None
        self._read = bytearray()

    def call(self, *words: Word, waits_s: float = 0.0) -> Reply:
        """Do one command.

        Args:
            words: its name and arguments.
            waits_s: how long the server may wait before it answers.

        Raises:
            Refused: the server says no.
            OSError: it is not there, went away, does not answer in time, or is no Valkey.
        """
        try:
            return self._ask(words, waits_s)
        except Refused:
            raise
        except BaseException:
            # Also for Ctrl-C: half an answer must not be taken for the next one.
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; the next command makes another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._read.clear()

    def _ask(self, words: tuple[Word, ...], waits_s: float) -> Reply:
        if self._socket is None:
            self._socket = self._connect()
            try:
                self._greet()
            except Refused:
                self.close()  # the next command is to be refused for the same reason
                raise
        self._socket.settimeout(waits_s + self._answer_s)
        self._socket.sendall(_encode(words))
        return self._reply()

    def _greet(self) -> None:
        parts = self._parts
        if parts.password is not None:
            names = (unquote(parts.username),) if parts.username else ()
            self._ask(("AUTH", *names, unquote(parts.password)), 0.0)
        database = (
            parse_qs(parts.query).get("db", ["0"])[0] if parts.scheme == "unix" else parts.path.strip("/")
        )
        if database not in ("", "0"):
            self._ask(("SELECT", database), 0.0)

    def _connect(self) -> socket.socket:
        parts = self._parts
        if parts.scheme == "unix":
            made = socket.socket(socket.AF_UNIX)
            made.settimeout(self._connect_s)
            made.connect(unquote(parts.path))
            return made
        host = parts.hostname or "localhost"
        made = socket.create_connection((host, parts.port or _DEFAULT_PORT), self._connect_s)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._secured(made, host) if parts.scheme == "rediss" else made

    def _secured(self, plain: socket.socket, host: str) -> socket.socket:
        import ssl

        # The settings always name a CA and always ask for the host's name: config.broker.tls_options.
        context = ssl.create_default_context(cafile=self._tls["ssl_ca_certs"])
        context.minimum_version = self._tls["ssl_min_version"]
        if "ssl_certfile" in self._tls:
            context.load_cert_chain(self._tls["ssl_certfile"], self._tls["ssl_keyfile"])
        try:
            return context.wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise

    def _reply(self) -> Reply:
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest
        if kind == b"-":
            raise Refused(rest.decode(errors="replace"))
        if kind == b":":
            return _number(rest)
        if kind == b"$":
            return self._bulk(_number(rest))
        if kind == b"*" and (count := _number(rest)) <= _MAX_ITEMS:
            return None if count < 0 else [self._reply() for _ in range(count)]
        raise NotValkey("what answers is no Valkey")

    def _line(self) -> bytes:
        while (end := self._read.find(b"\r\n")) < 0:
            if len(self._read) > _MAX_LINE:
                raise NotValkey("an answer of the broker is too long")
            self._more()
        return self._taken(end, 2)

    def _bulk(self, length: int) -> bytes | None:
        if length < 0:
            return None
        if length > MAX_REPLY:
            raise NotValkey("an answer of the broker is too long")
        while len(self._read) < length + 2:
            self._more()
        return self._taken(length, 2)

    def _taken(self, length: int, more: int) -> bytes:
        data = bytes(self._read[:length])
        del self._read[: length + more]
        return data

    def _more(self) -> None:
        got = self._socket.recv(_PIECE) if self._socket is not None else b""
        if not got:
            raise ConnectionResetError("the broker closed the connection")
        self._read += got


def _encode(words: tuple[Word, ...]) -> bytes:
    out = bytearray(b"*%d\r\n" % len(words))
    for word in words:
        data = word if isinstance(word, bytes) else str(word).encode()
        out += b"$%d\r\n%b\r\n" % (len(data), data)
    return bytes(out)


def _number(text: bytes) -> int:
    try:
        return int(text)
    except ValueError:
        raise NotValkey("what answers is no Valkey") from None
