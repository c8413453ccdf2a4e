"""One connection to the broker, in as much of its protocol as a command needs.

The usual client libraries take a quarter of a second of processor time to import, which is more than the rest of a
command. The protocol is RESP2 (valkey.io/topics/protocol).
"""

import socket
from typing import BinaryIO, Final, TypeAlias
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from config.broker import SOCKET_SCHEME, BrokerSettings, tls_options

DEFAULT_PORT: Final = 6379
MAX_LINE: Final = 64 * 1024
MAX_VALUE: Final = 64 << 20
"""Longest value that is believed; the embedded server takes half of that."""
MAX_ITEMS: Final = 1024

Reply: TypeAlias = "bytes | int | list[Reply] | None"


class WireError(Exception):
    """The broker did not answer as a broker does."""


class Refused(WireError):
    """The broker's own words: it did not do what it was asked."""


class Wire:
    """A connection that is made when it is first used, and anew after anything went wrong.

    Args:
        url: with user and password.
        broker: says how TLS is done.
        connect_timeout_s: until it is connected.
        timeout_s: until an answer has come, beyond what a call itself waits for.

    Raises:
        ConfigError: the broker's TLS files cannot be read.
    """

    def __init__(
        self, url: str, broker: BrokerSettings, *, connect_timeout_s: float, timeout_s: float
    ) -> None:
        self._place = urlsplit(url)
        self._tls = tls_options(broker, url)
        self._connect_timeout_s, self._timeout_s = connect_timeout_s, timeout_s
        self._socket: socket.socket | None = None
        self._answers: BinaryIO | None = None

    def call(self, *words: bytes | str | float, wait_s: float = 0.0) -> Reply:
        """Say a command and return the answer.

        Args:
            wait_s: for how long the command itself may wait.

        Raises:
            OSError: no connection, or none any more; also when no answer came in time.
            Refused: the broker says no.
            WireError: what came is no answer.
        """
        try:
            if self._socket is None:
                self._connect()
            return self._ask(words, wait_s)
        except Refused:
            raise
        except BaseException:
            # Also when interrupted: the answer to this call must not be taken for that to the next one.
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; the next call makes another one."""
        answers, self._answers = self._answers, None
        connection, self._socket = self._socket, None
        if answers is not None:
            answers.close()
        if connection is not None:
            connection.close()

    def _connect(self) -> None:
        self._socket = self._secured(_dial(self._place, self._connect_timeout_s))
        self._answers = self._socket.makefile("rb")
        user, password = unquote(self._place.username or ""), unquote(self._place.password or "")
        try:
            if user or password:
                self._ask(("AUTH", user or "default", password), 0.0)
            if number := _database(self._place):
                self._ask(("SELECT", number), 0.0)
        except Refused:
            self.close()
            raise

    def _secured(self, plain: socket.socket) -> socket.socket:
        if not self._tls:
            return plain
        import ssl

        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies the certificate and the host's name
            context.minimum_version = self._tls["ssl_min_version"]
            context.load_verify_locations(self._tls["ssl_ca_certs"])
            if "ssl_certfile" in self._tls:
                context.load_cert_chain(self._tls["ssl_certfile"], self._tls["ssl_keyfile"])
            return context.wrap_socket(plain, server_hostname=self._place.hostname)
        except BaseException:
            plain.close()
            raise

    def _ask(self, words: tuple[bytes | str | float, ...], wait_s: float) -> Reply:
        assert self._socket is not None
        self._socket.settimeout(self._timeout_s + wait_s)
        self._socket.sendall(_encoded(words))
        return self._reply()

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
            return self._value(_number(rest))
        if kind == b"*" and _number(rest) <= MAX_ITEMS:
            return None if rest == b"-1" else self._items(_number(rest))
        raise WireError("an answer of an unknown kind")

    def _items(self, count: int) -> list[Reply]:
        try:
            return [self._reply() for _ in range(count)]
        except Refused as error:
            raise WireError("an answer with an error inside") from error

    def _value(self, length: int) -> bytes | None:
        if length == -1:
            return None
        if not 0 <= length <= MAX_VALUE:
            raise WireError("an answer that is longer than any")
        return self._exactly(length + 2)[:-2]

    def _line(self) -> bytes:
        assert self._answers is not None
        line = self._answers.readline(MAX_LINE)
        if not line:
            raise ConnectionResetError("the broker closed the connection")
        if not line.endswith(b"\r\n"):
            raise WireError("an answer without an end")
        return line[:-2]

    def _exactly(self, length: int) -> bytes:
        assert self._answers is not None
        data = self._answers.read(length)
        if len(data) < length:
            raise ConnectionResetError("the broker closed the connection")
        return data


def _dial(place: SplitResult, timeout_s: float) -> socket.socket:
    if place.scheme != SOCKET_SCHEME:
        return socket.create_connection((place.hostname, place.port or DEFAULT_PORT), timeout_s)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(timeout_s)
        connection.connect(unquote(place.path))
    except BaseException:
        connection.close()
        raise
    return connection


def _database(place: SplitResult) -> int:
    """The number of the database in a broker's URL."""
    if place.scheme == SOCKET_SCHEME:
        return _number(parse_qs(place.query).get("virtual_host", ["0"])[0].encode())
    return _number(place.path.strip("/").encode() or b"0")


def _encoded(words: tuple[bytes | str | float, ...]) -> bytes:
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"".join([b"*%d\r\n" % len(parts), *(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)])


def _number(text: bytes) -> int:
    try:
        return int(text)
    except ValueError:
        raise WireError("an answer with a number that is none") from None
