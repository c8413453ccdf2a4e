"""What a failed handshake means: told from what OpenSSL itself says, however deep the libraries have wrapped it."""

import socket
import ssl
import threading
from pathlib import Path

import pytest

from config.broker_trouble import tls_trouble
from crypto.pki import new_authority


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two CAs, and pairs of each."""
    for name in ("ours", "theirs"):
        authority = new_authority(name)
        (tmp_path / f"{name}.ca").write_bytes(authority.certificate)
        for role, made in (
            ("server", authority.issue_server("server", ("localhost",))),
            ("client", authority.issue_client("client")),
        ):
            (tmp_path / f"{name}.{role}.crt").write_bytes(made.certificate)
            (tmp_path / f"{name}.{role}.key").write_bytes(made.key)
    return tmp_path


def handshake(folder: Path, *, believes: str = "ours", client: str = "ours", name: str = "localhost") -> None:
    """A client of ours and a server of "ours" that asks for certificates; raises what the client sees."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "ours.server.crt", folder / "ours.server.key")
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(folder / "ours.ca")
    context = ssl.create_default_context(cafile=str(folder / f"{believes}.ca"))
    if client:
        context.load_cert_chain(folder / f"{client}.client.crt", folder / f"{client}.client.key")
    here, there = socket.socketpair()

    def serve() -> None:
        try:
            with server.wrap_socket(there, server_side=True) as line:
                line.sendall(b"x")
        except OSError:
            there.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with context.wrap_socket(here, server_hostname=name) as line:
            line.recv(1)
    finally:
        here.close()
        thread.join()


@pytest.mark.parametrize(
    ("changes", "says", "remedy"),
    [
        ({"believes": "theirs"}, "certificate verify failed", "broker.ca_file"),
        ({"name": "other.example"}, "certificate verify failed", "names the host in broker.url"),
        ({"client": "theirs"}, "the client's certificate or key is not accepted", "broker.cert_file"),
        ({"client": ""}, "the client's certificate or key is not accepted", "broker.cert_file"),
    ],
)
def test_who_does_not_believe_whom(folder: Path, changes: dict[str, str], says: str, remedy: str) -> None:
    with pytest.raises(OSError, match=r".") as caught:
        handshake(folder, **changes)
    wrapped = ConnectionError("the library's own words")
    wrapped.__cause__ = caught.value
    trouble = tls_trouble(wrapped)
    assert trouble is not None
    assert says in trouble.message
    assert remedy in trouble.remedy


def test_a_key_of_another_certificate_is_about_us(folder: Path) -> None:
    context = ssl.create_default_context()
    with pytest.raises(ssl.SSLError) as caught:
        context.load_cert_chain(folder / "ours.client.crt", folder / "theirs.client.key")
    trouble = tls_trouble(caught.value)
    assert trouble is not None
    assert "broker.key_file" in trouble.remedy


def test_what_is_not_about_certificates_is_somebody_elses_business(folder: Path) -> None:
    handshake(folder)
    assert tls_trouble(None) is None
    assert tls_trouble(ConnectionRefusedError("no")) is None
    assert tls_trouble(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")) is None
