"""Certificates of the private CA: who may be what with them, tried with OpenSSL over a real connection."""

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from crypto import pki
from crypto.errors import Malformed
from crypto.pki import Issued

AUTHORITY = pki.new_authority("test")


def context(folder: Path, purpose: int, ca: bytes, own: Issued | None) -> ssl.SSLContext:
    made = ssl.SSLContext(purpose)
    made.load_verify_locations(cadata=ca.decode())
    made.verify_mode = ssl.CERT_REQUIRED
    if own is not None:
        file = folder / f"{purpose}.pem"
        file.write_bytes(own.certificate + own.key)
        made.load_cert_chain(file)
    return made


def meets(
    folder: Path,
    server: Issued,
    client: Issued | None,
    name: str = "broker.example",
    *,
    client_ca: bytes = AUTHORITY.certificate,
) -> bool:
    """Whether a server and a client that both verify come to speak."""
    inside = context(folder, ssl.PROTOCOL_TLS_SERVER, AUTHORITY.certificate, server)
    outside = context(folder, ssl.PROTOCOL_TLS_CLIENT, client_ca, client)
    ours, theirs = socket.socketpair()
    said: list[bytes] = []

    def serve() -> None:
        try:
            with inside.wrap_socket(theirs, server_side=True) as connection:
                connection.sendall(b"hello")
        except OSError:
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        ours.settimeout(10)
        with outside.wrap_socket(ours, server_hostname=name) as connection:
            said.append(connection.recv(5))
    except OSError:
        return False
    finally:
        ours.close()
        thread.join()
    return said == [b"hello"]


def test_server_and_client_of_one_authority_meet(tmp_path: Path) -> None:
    server = AUTHORITY.issue_server("broker", ("broker.example", "10.0.0.7"))
    client = AUTHORITY.issue_client("backup")
    assert meets(tmp_path, server, client)
    assert meets(tmp_path, server, client, "10.0.0.7")


def test_whoever_is_something_else_does_not(tmp_path: Path) -> None:
    server = AUTHORITY.issue_server("broker", ("broker.example",))
    client = AUTHORITY.issue_client("backup")
    other = pki.new_authority("test")  # of the same name
    assert not meets(tmp_path, server, None)
    assert not meets(tmp_path, server, client, "other.example")
    assert not meets(tmp_path, server, other.issue_client("backup"))
    assert not meets(tmp_path, other.issue_server("broker", ("broker.example",)), client)
    assert not meets(tmp_path, client, client)  # a client's certificate is no server's
    assert not meets(tmp_path, server, server)  # nor the reverse
    assert not meets(tmp_path, server, client, client_ca=other.certificate)


def test_a_leaf_signs_nothing(tmp_path: Path) -> None:
    leaf = AUTHORITY.issue_server("broker", ("broker.example",))
    below = pki.Authority.load(leaf.certificate, leaf.key).issue_client("backup")
    chain = Issued(below.certificate + leaf.certificate, below.key)
    assert not meets(tmp_path, leaf, chain)


def test_certificates_end() -> None:
    found = x509.load_pem_x509_certificate(AUTHORITY.issue_client("x").certificate)
    assert found.not_valid_after_utc - datetime.now(UTC) <= timedelta(days=pki.LEAF_DAYS)
    assert found.extensions.get_extension_for_class(x509.BasicConstraints).critical


def test_an_authority_survives_its_files() -> None:
    again = pki.Authority.load(AUTHORITY.certificate, AUTHORITY.key)
    assert again.certificate == AUTHORITY.certificate
    leaf = x509.load_pem_x509_certificate(again.issue_client("x").certificate)
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(AUTHORITY.certificate))


@pytest.mark.parametrize(
    ("certificate", "key"),
    [
        (b"", b""),
        (AUTHORITY.certificate, b"x"),
        (AUTHORITY.certificate, pki.new_authority("y").key),
        (AUTHORITY.key, AUTHORITY.certificate),
    ],
)
def test_what_is_no_authority_is_refused(certificate: bytes, key: bytes) -> None:
    with pytest.raises(Malformed):
        pki.Authority.load(certificate, key)


@pytest.mark.parametrize("hosts", [(), ("bücher.example",)])
def test_a_server_without_a_host_is_refused(hosts: tuple[str, ...]) -> None:
    with pytest.raises(Malformed):
        AUTHORITY.issue_server("broker", hosts)
