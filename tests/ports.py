"""Ports of loopback that nobody else is given before the server takes them that they are meant for."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


def reserve(address: str = "127.0.0.1") -> socket.socket:
    """A socket that is bound and does not listen: whoever connects is refused, and no other socket gets its port.

    A server that asks for this very port gets it all the same, because both have SO_REUSEADDR, as servers do.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind((address, 0))
    return held


def port_of(held: socket.socket) -> int:
    """The port that it holds."""
    port: int = held.getsockname()[1]
    return port


@contextmanager
def reserved(count: int) -> Iterator[list[int]]:
    """So many ports, held for the length of the block."""
    with ExitStack() as cleanup:
        yield [port_of(cleanup.enter_context(reserve())) for _ in range(count)]
