"""How the broker is reached: address, user, password, TLS. The one place for Celery, the lists and the client."""

import ipaddress
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, unquote, urlsplit

import msgspec

from config.errors import ConfigError
from config.secret_files import first_line

if TYPE_CHECKING:
    import ssl

TLS_SCHEME = "rediss"
SOCKET_SCHEME = "redis+socket"
SCHEMES = (TLS_SCHEME, "redis", SOCKET_SCHEME)
# What may follow the `?`: everything else could switch off what is checked here (`ssl_cert_reqs=none`).
_QUERY = frozenset({"virtual_host"})
# What has a meaning for one of those who read the URL, and none or another for the others: kombu takes a `;` for the
# beginning of a second broker, which nobody here would have looked at.
_NOT_IN_A_URL = frozenset(";,#\\ \t\r\n\0")


class BrokerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the message broker is.

    Attributes:
        url: `rediss://host:port/0` or, on this machine, `redis://127.0.0.1:port/0` or `redis+socket:///path`; may
            hold `user:password@`. Empty: the embedded one.
        user: of the broker; empty: the one that `config.acl` has for the role.
        password_file: file whose first line is that user's password.
        ca_file, cert_file, key_file: mutual TLS of a rediss:// broker, PEM.
        visibility_timeout_s: after how long a message that nobody acknowledged is delivered again. All roles
            on one broker must agree, the shortest wins.
    """

    url: str = ""
    user: str = ""
    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    visibility_timeout_s: Annotated[int, msgspec.Meta(ge=60)] = 3600

    def __repr__(self) -> str:
        # The URL may hold a password, and settings are a part of much that a debugger or a failed test prints.
        return f"{type(self).__name__}(user={self.user!r}, ...)"


def check_broker(broker: BrokerSettings) -> None:
    """Refuse a broker that could be listened to, or whose certificate nobody would verify.

    1. The scheme is known, there is one broker in the URL, and nothing in it changes how TLS is done.
    2. `rediss://` names the CA: kombu takes it for "verify nothing" otherwise (notes 2.2).
    3. `redis://` stays on this machine.
    4. Certificate and key come together, and one password only.

    Raises:
        ConfigError: naming the key.
    """
    if not broker.url:
        return
    parts = urlsplit(broker.url)
    if parts.scheme not in SCHEMES:  # 1
        raise ConfigError(
            "broker.url has an unknown scheme", remedy="use rediss://, redis:// or redis+socket://"
        )
    if _NOT_IN_A_URL.intersection(broker.url):
        raise ConfigError(
            "broker.url has a character that could begin another broker, or end this one",
            remedy="name one broker; in a user or password write ; , # and the like as %3B, %2C, %23",
        )
    for option in filter(None, parts.query.split("&")):
        if parts.scheme != SOCKET_SCHEME or option.partition("=")[0] not in _QUERY:
            raise ConfigError(
                f"broker.url has the option {option.partition('=')[0]}",
                remedy="remove it; TLS is set by broker.ca_file, cert_file and key_file",
            )
    if parts.scheme == TLS_SCHEME and not broker.ca_file:  # 2
        raise ConfigError(
            "broker.url is rediss:// without broker.ca_file, so nobody would verify the broker",
            remedy="set broker.ca_file to the PEM file of the CA that signed the broker's certificate",
        )
    if parts.scheme == "redis" and not is_loopback(parts.hostname or ""):  # 3
        raise ConfigError(
            "broker.url is redis:// to another machine, which everybody on the way could read and change",
            remedy="use rediss:// with broker.ca_file; redis:// is for 127.0.0.1 and ::1",
        )
    if bool(broker.cert_file) != bool(broker.key_file):  # 4
        raise ConfigError(
            "broker.cert_file and broker.key_file come together", remedy="name both files, or none"
        )
    if broker.password_file and parts.password:
        raise ConfigError(
            "there is a password in broker.url and in broker.password_file", remedy="remove one of them"
        )


def broker_url(broker: BrokerSettings, user: str) -> str:
    """The URL with user and password in it: a secret.

    Args:
        broker: checked, with a url.
        user: `config.queues.station` of a role, `client`, or another user of `config.acl`; one that the settings
            name is used in its place.

    Raises:
        ConfigError: the password file cannot be read or is empty.
    """
    parts = urlsplit(broker.url)
    name = unquote(parts.username or "") or broker.user or user
    password = unquote(parts.password or "")
    if broker.password_file:
        password = first_line("broker.password_file", broker.password_file)
    credentials = f"{quote(name, safe='')}:{quote(password, safe='')}@" if password else ""
    place = parts.netloc.rpartition("@")[2]
    # Not urlunsplit: it drops the slashes of a socket's URL without credentials.
    return f"{parts.scheme}://{credentials}{place}{parts.path}" + (f"?{parts.query}" if parts.query else "")


def tls_options(broker: BrokerSettings, url: str) -> dict[str, Any]:
    """What redis-py, kombu and Flower are told about TLS; empty when `url` is not `rediss://`.

    The broker's certificate must be signed by the CA and name the host in the URL; nothing below TLS 1.2.

    Raises:
        ConfigError: no CA, or a file that cannot be read.
    """
    if urlsplit(url).scheme != TLS_SCHEME:
        return {}
    import ssl

    check_broker(broker if broker.url else BrokerSettings(url=url, ca_file=broker.ca_file))
    options: dict[str, Any] = {
        "ssl_cert_reqs": "required",
        "ssl_ca_certs": _readable("ca_file", broker.ca_file),
        "ssl_check_hostname": True,
        "ssl_min_version": ssl.TLSVersion.TLSv1_2,
    }
    if broker.cert_file:
        options["ssl_certfile"] = _readable("cert_file", broker.cert_file)
        options["ssl_keyfile"] = _readable("key_file", broker.key_file)
    return options


def tls_context(options: Mapping[str, Any]) -> "ssl.SSLContext":
    """How a connection to the broker does TLS: as `tls_options` says.

    No CA counts but the configured one, not even the system's; and no name in a certificate but those that are there
    as names of hosts: what is called "localhost" may be a client.

    Raises:
        OSError: a file cannot be read, or is none.
    """
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies the certificate and the host's name
    context.hostname_checks_common_name = False
    context.minimum_version = options["ssl_min_version"]
    context.load_verify_locations(options["ssl_ca_certs"])
    if "ssl_certfile" in options:
        context.load_cert_chain(options["ssl_certfile"], options["ssl_keyfile"])
    return context


def redis_arguments(broker: BrokerSettings, url: str) -> tuple[str, dict[str, Any]]:
    """The URL as redis-py spells it, and its TLS arguments.

    Raises:
        ConfigError: see `tls_options`.
    """
    plain = url
    if url.startswith(f"{SOCKET_SCHEME}://"):
        plain = "unix://" + url.removeprefix(f"{SOCKET_SCHEME}://").replace("virtual_host=", "db=")
    return plain, tls_options(broker, url)


def is_loopback(host: str) -> bool:
    """Whether an address can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _readable(key: str, path: str) -> str:
    if not os.access(path, os.R_OK):
        raise ConfigError(
            f"broker.{key} cannot be read: {path}", remedy="correct the path, or who may read the file"
        )
    return path
