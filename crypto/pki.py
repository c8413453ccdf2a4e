"""A private certificate authority for the broker's and Flower's TLS: enough for a trial, and for one installation.

Pure: keys and certificates as PEM bytes. ECDSA P-256, because a browser must accept Flower's. Who has a PKI of their
own uses that; nothing else in Strongroom depends on who signed a certificate.
"""

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from crypto.errors import Malformed

AUTHORITY_DAYS: Final = 3650
LEAF_DAYS: Final = 398
"""Browsers accept no server certificate that is valid for longer."""
_SKEW = timedelta(minutes=5)
_CURVE = ec.SECP256R1
_HASH = hashes.SHA256


class Issued(NamedTuple):
    """A certificate and its private key, PEM."""

    certificate: bytes
    key: bytes


class Leaf(NamedTuple):
    """What a certificate is for.

    Attributes:
        server: it is shown by a server; else by a client.
        hosts: DNS names and addresses that it stands for; a client's has none.
    """

    server: bool
    hosts: tuple[str, ...]


def purpose(certificate: bytes) -> Leaf:
    """What a certificate, PEM, is for.

    Raises:
        Malformed: no certificate, or one for something else than `Authority` issues.
    """
    try:
        loaded = x509.load_pem_x509_certificate(certificate)
        (usage,) = loaded.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        server = usage == ExtendedKeyUsageOID.SERVER_AUTH
        names = loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value if server else ()
    except (ValueError, x509.ExtensionNotFound) as error:
        raise Malformed("it is no certificate of a server or a client") from error
    if not server and usage != ExtendedKeyUsageOID.CLIENT_AUTH:
        raise Malformed("it is no certificate of a server or a client")
    return Leaf(server, tuple(str(name.value) for name in names))


class Authority:
    """A certificate authority whose private key is at hand.

    Args:
        certificate: its own.
        key: ECDSA.
    """

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def load(cls, certificate: bytes, key: bytes) -> Self:
        """Read an authority back from PEM.

        Raises:
            Malformed: not a certificate and its ECDSA key.
        """
        try:
            loaded = x509.load_pem_x509_certificate(certificate)
            private = serialization.load_pem_private_key(key, password=None)
        except (ValueError, TypeError) as error:
            raise Malformed("the authority's certificate or key is no PEM") from error
        if not isinstance(private, ec.EllipticCurvePrivateKey) or private.public_key() != loaded.public_key():
            raise Malformed("the authority's key does not belong to its certificate")
        return cls(loaded, private)

    @property
    def certificate(self) -> bytes:
        """What everybody needs who is to trust it, PEM."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key(self) -> bytes:
        """The private key, PEM: whoever has it can be anybody."""
        return _pem(self._key)

    def issue_server(self, name: str, hosts: Sequence[str]) -> Issued:
        """A certificate for a server that is reached under `hosts`, which are DNS names or addresses.

        Raises:
            Malformed: no host, or what is none.
        """
        if not hosts:
            raise Malformed(
                "a server's certificate names no host", remedy="name the host that clients connect to"
            )
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        return self._issue(name, ExtendedKeyUsageOID.SERVER_AUTH, names)

    def issue_client(self, name: str) -> Issued:
        """A certificate with which a role shows that it belongs to the installation."""
        return self._issue(name, ExtendedKeyUsageOID.CLIENT_AUTH, None)

    def _issue(
        self, name: str, usage: x509.ObjectIdentifier, names: x509.SubjectAlternativeName | None
    ) -> Issued:
        key = ec.generate_private_key(_CURVE())
        now = datetime.now(UTC)
        ends = min(now + timedelta(days=LEAF_DAYS), self._certificate.not_valid_after_utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(self._certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _SKEW)
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        signed = builder.sign(self._key, _HASH())
        return Issued(signed.public_bytes(serialization.Encoding.PEM), _pem(key))


def new_authority(name: str) -> Authority:
    """A new authority, which signs leaves and no further authorities."""
    key = ec.generate_private_key(_CURVE())
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, _HASH())
    )
    return Authority(signed, key)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass  # a name, then
    try:
        return x509.DNSName(host)
    except ValueError as error:
        raise Malformed(f"{host!r} is no host", remedy="give a DNS name or an address") from error


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
