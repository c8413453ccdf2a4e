"""One connection to the broker, in as much as a command needs: words out, an answer in, both by hiredis.

The usual client libraries take a quarter of a second of processor time to import, which is more than the rest of a
command.
"""

import socket
import time
from typing import Final, TypeAlias
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import hiredis

from config.broker import SOCKET_SCHEME, BrokerSettings, tls_context, tls_options

DEFAULT_PORT: Final = 6379
MAX_ANSWER: Final = 64 << 20
"""Bytes of the longest answer that is believed; the embedded server takes half of that."""
_PIECE: Final = 64 << 10

_ENDLESS: Final = "an answer that is longer than any"

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
        timeout_s: until the whole answer has come, beyond what a call itself waits for.
        longest: bytes of an answer that is believed.

    Raises:
        ConfigError: the broker's TLS files cannot be read.
    """

    def __init__(
        self,
        url: str,
        broker: BrokerSettings,
        *,
        connect_timeout_s: float,
        timeout_s: float,
        longest: int = MAX_ANSWER,
    ) -> None:
        self._place = urlsplit(url)
        self._tls = tls_options(broker, url)
        self._connect_timeout_s, self._timeout_s = connect_timeout_s, timeout_s
        self._longest = longest
        self._socket: socket.socket | None = None
        self._reader = hiredis.Reader(protocolError=WireError, replyError=Refused)

    def call(self, *words: bytes | str | float, wait_s: float = 0.0) -> Reply:
        """Say a command and return the answer.

        Args:
            wait_s: for how long the command itself may wait.

        Raises:
            OSError: no connection, or none any more; also when no answer came in time.
            Refused: the broker says no.
            WireError: what came is no answer.
        """
        # One for the whole call: a broker that sends a byte now and then must not hold a command for ever.
        deadline = time.monotonic() + self._timeout_s + wait_s
        try:
            if self._socket is None:
                self._connect(deadline)
            return self._ask(words, deadline)
        except Refused:
            raise
        except BaseException:
            # Also when interrupted: the answer to this call must not be taken for that to the next one.
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; the next call makes another one."""
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()

    def _connect(self, deadline: float) -> None:
        self._socket = self._secured(_dial(self._place, min(self._connect_timeout_s, _left(deadline))))
        self._reader = hiredis.Reader(protocolError=WireError, replyError=Refused)
        user, password = unquote(self._place.username or ""), unquote(self._place.password or "")
        try:
            if user or password:
                self._ask(("AUTH", user or "default", password), deadline)
            if number := _database(self._place):
                self._ask(("SELECT", number), deadline)
        except Refused:
            self.close()
            raise

    def _secured(self, plain: socket.socket) -> socket.socket:
        if not self._tls:
            return plain
        try:
            return tls_context(self._tls).wrap_socket(plain, server_hostname=self._place.hostname)
        except BaseException:
            plain.close()
            raise

    def _ask(self, words: tuple[bytes | str | float, ...], deadline: float) -> Reply:
        assert self._socket is not None
        self._socket.settimeout(_left(deadline))
        self._socket.sendall(hiredis.pack_command(words))  # type: ignore[arg-type]  # its stub asks for one word
        return self._reply(deadline)

    def _reply(self, deadline: float) -> Reply:
        assert self._socket is not None
        reader, left = self._reader, self._longest
        while (reply := _next(reader)) is False:
            self._socket.settimeout(_left(deadline))
            data = self._socket.recv(min(_PIECE, left))
            if not data:
                raise (
                    ConnectionResetError("the broker closed the connection") if left else WireError(_ENDLESS)
                )
            left -= len(data)
            reader.feed(data)
        if isinstance(reply, Refused):
            raise reply
        return _checked(reply)


def _left(deadline: float) -> float:
    """Seconds until `deadline` (monotonic).

    Raises:
        TimeoutError: it is over.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the whole answer did not come in time")
    return left


def _next(reader: hiredis.Reader) -> object:
    """The reader's next reply; False when its end has not come yet.

    Raises:
        WireError: it is of no kind that can be read, or states more items than memory could hold.
    """
    try:
        return reader.gets()
    except (MemoryError, TypeError, ValueError) as error:
        raise WireError("an answer that cannot be read") from error


def _checked(reply: object) -> Reply:
    """A reply of the kinds that RESP 2 has, without errors inside.

    Raises:
        WireError: it is another.
    """
    if isinstance(reply, list):
        return [_checked(item) for item in reply]
    if reply is None or (isinstance(reply, bytes | int) and not isinstance(reply, bool)):
        return reply
    raise WireError("an answer of an unknown kind")


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


def _number(text: bytes) -> int:
    try:
        return int(text)
    except ValueError:
        raise WireError("an answer with a number that is none") from None
