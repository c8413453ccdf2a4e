"""redis-py's connections over TLS, with `config.broker.tls_context`.

redis-py begins with the system's list of CAs and adds the configured one; it takes a name from where no name of a host
should be. Whoever has any public certificate for the broker's name would be the broker.
"""

import socket
import ssl
from typing import Any

import redis
import redis.asyncio

from config.broker import tls_context


class VerifiedConnection(redis.SSLConnection):
    """Takes the same arguments as redis-py's; those of `config.broker.tls_options` count."""

    def _wrap_socket_with_ssl(self, sock: socket.socket) -> ssl.SSLSocket:
        context = tls_context(_options(self.ca_certs, self.certfile, self.keyfile, self.ssl_min_version))
        return context.wrap_socket(sock, server_hostname=self.host)


class VerifiedAsyncConnection(redis.asyncio.SSLConnection):
    """The same, without waiting: Flower's."""

    def _connection_arguments(self) -> dict[str, Any]:
        options = _options(self.ca_certs, self.certfile, self.keyfile, self.min_version)
        return {**super()._connection_arguments(), "ssl": tls_context(options)}


def _options(ca: Any, certificate: Any, key: Any, least: Any) -> dict[str, Any]:
    options = {"ssl_ca_certs": ca, "ssl_min_version": least}
    return options | ({"ssl_certfile": certificate, "ssl_keyfile": key} if certificate else {})
