"""Mutual TLS in front of a unix socket: the embedded Valkey is built without TLS, and tests install nothing.

What it shows is the roles' side of TLS, over a real socket with real certificates; `make test-redis` and
`make compose-test` have servers that do TLS themselves.
"""

import asyncio
import contextlib
import ssl
import threading
from pathlib import Path
from typing import Any

from tests.ports import port_of, reserve

ADDRESSES = ("127.0.0.1", "127.0.0.2")
"""The second one is in no certificate."""


class TlsFront:
    """Listens on a free port of some addresses, in a thread of its own.

    Args:
        socket: what it stands in front of.
        ca, certificate, key: PEM files; only clients with a certificate of the CA are let in.
        addresses: where; two of loopback, if nothing else is given.
    """

    def __init__(
        self, socket: Path, ca: Path, certificate: Path, key: Path, addresses: tuple[str, ...] = ADDRESSES
    ) -> None:
        self._socket = socket
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._context.load_verify_locations(ca)
        self._context.load_cert_chain(certificate, key)
        self._loop = _Loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tls", daemon=True)
        self._thread.start()
        # A port that is free on all addresses at once, and not on one after the other.
        self._held = reserve("0.0.0.0")
        self.port = port_of(self._held)
        self._servers = [
            asyncio.run_coroutine_threadsafe(self._listen(address), self._loop).result(60)
            for address in addresses
        ]
        self.names: list[str] = []
        """Common names of the clients that were let in."""

    def close(self) -> None:
        """Stop listening, and hang up."""

        async def end() -> None:
            for server in self._servers:
                server.close()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await asyncio.sleep(0)
            # asyncio's server forgets the sockets of handshakes that failed; a collector would blame a later test.
            for transport in list(self._loop._transports.values()):  # type: ignore[attr-defined]
                transport.abort()
            await asyncio.sleep(0)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self._held.close()

    async def _listen(self, address: str) -> asyncio.Server:
        return await asyncio.start_server(self._serve, address, self.port, ssl=self._context)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        subject = writer.get_extra_info("peercert")["subject"]
        self.names.append(dict(pair for part in subject for pair in part)["commonName"])
        with contextlib.suppress(OSError, asyncio.CancelledError):
            inner_reader, inner_writer = await asyncio.open_unix_connection(str(self._socket))
            await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))


class _Loop(asyncio.SelectorEventLoop):
    """Says, as brokers do, why it does not take a certificate; asyncio would only hang up."""

    def _make_ssl_transport(self, *args: Any, **kwargs: Any) -> Any:
        transport = super()._make_ssl_transport(*args, **kwargs)  # type: ignore[misc]
        protocol = transport._ssl_protocol
        hang_up = protocol._fatal_error

        def say_why(error: Exception, message: str = "") -> None:
            protocol._transport.write(protocol._outgoing.read())
            hang_up(error, message)

        protocol._fatal_error = say_why
        return transport


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
