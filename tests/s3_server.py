"""A real S3 server for the tests: SeaweedFS from its wheel, with versions, conditional writes and Object Lock.

One process, all of it on loopback and in one temporary folder. TLS under an authority made here.
"""

import datetime as dt
import ipaddress
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.ports import reserved

BUCKET = "plain-bucket"
LOCKED = "locked-bucket"
DELIVERIES = "delivery-bucket"
REPOSITORY = "roles-repository"
"""For tests with a user for each role: what it may do is what the tests put as the buckets' policies. With locks."""
PARCELS = "roles-delivery"
BUCKETS = (BUCKET, LOCKED, DELIVERIES, REPOSITORY, PARCELS)
START_S = 60.0

_IDENTITIES = {
    "admin": ["Admin", "Read", "Write", "List", "Tagging"],
    "reader": ["Read", "List"],
    "deliveries": [f"{what}:{DELIVERIES}" for what in ("Read", "Write", "List")],
    **{role: [] for role in ("backup", "restore", "maintenance", "client", "scheduler", "key-broker")},
}


@dataclass(frozen=True)
class S3Server:
    """Where the server is; credentials are in the shared AWS file that the environment names."""

    endpoint: str
    tls_endpoint: str
    ca: Path

    def uri(self, prefix: str, bucket: str = BUCKET, *, endpoint: str = "", **options: str) -> str:
        """URI of a place on the server, as the administrator unless the options say otherwise."""
        all_options = {"endpoint": endpoint or self.endpoint, "region": "us-east-1", "profile": "admin"} | {
            name.replace("_", "-"): value for name, value in options.items()
        }
        return f"s3://{bucket}/{prefix}?" + "&".join(f"{name}={value}" for name, value in all_options.items())

    def client(self, user: str = "") -> Any:
        """boto3's own client, to look behind the store: as the administrator, or as a user, then over TLS."""
        tls = bool(user)
        return boto3.Session(profile_name=user or "admin", region_name="us-east-1").client(
            "s3",
            endpoint_url=self.tls_endpoint if tls else self.endpoint,
            verify=str(self.ca) if tls else None,
            config=Config(
                s3={"addressing_style": "path"},
                retries={"total_max_attempts": 1},
                connect_timeout=5,
                read_timeout=10,
                # As our own client: the server denies all writes whose checksum follows the body, whatever the policy.
                request_checksum_calculation="when_required",
            ),
        )


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """Run a server with the buckets of this module below `folder`, and point AWS_* at its credentials."""
    ca = _certificates(folder)
    (folder / "s3.json").write_text(
        json.dumps(
            {
                "identities": [
                    {"name": name, "credentials": [_keys(name)], "actions": actions}
                    for name, actions in _IDENTITIES.items()
                ]
            }
        )
    )
    log = folder / "weed.log"
    with ExitStack() as cleanup:
        _environment(folder, cleanup)
        ports = cleanup.enter_context(reserved(9))
        server = S3Server(f"http://127.0.0.1:{ports[6]}", f"https://127.0.0.1:{ports[8]}", ca)
        process = subprocess.Popen(
            _command(folder, ports),
            stdout=cleanup.enter_context(log.open("wb")),
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=folder,
            env={**os.environ, "WEED_S3_SSE_KEY": "of the tests"},
            start_new_session=True,
        )
        cleanup.callback(_stop, process, ports)
        _make_buckets(server, process, log)
        yield server


def next_second() -> None:
    """Wait for it: S3 tells times in whole seconds, and what comes now is later than all that is there."""
    time.sleep(1.01 - time.time() % 1)


def _command(folder: Path, ports: list[int]) -> list[str]:
    data = folder / "data"
    data.mkdir()
    options = {
        "dir": data,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "master.port": ports[0],
        "master.port.grpc": ports[1],
        "master.peers": "none",
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": 1024,
        "volume.port": ports[2],
        "volume.port.grpc": ports[3],
        "volume.max": 100,
        "volume.preStopSeconds": 0,
        "filer": "true",
        "filer.port": ports[4],
        "filer.port.grpc": ports[5],
        "filer.localSocket": folder / "filer.sock",
        "s3": "true",
        "s3.port": ports[6],
        "s3.port.grpc": ports[7],
        "s3.port.https": ports[8],
        "s3.cert.file": folder / "server.pem",
        "s3.key.file": folder / "server.key",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.config": folder / "s3.json",
        "s3.localSocket": folder / "s3.sock",
        "s3.autoCreateBucket": "false",
    }
    weed = Path(sys.executable).with_name("weed")
    return [str(weed), "server", *(f"-{name}={value}" for name, value in options.items())]


def _keys(name: str) -> dict[str, str]:
    return {"accessKey": f"AK{name.upper()}", "secretKey": f"secret-of-{name}"}


def _environment(folder: Path, cleanup: ExitStack) -> None:
    credentials = folder / "credentials"
    credentials.write_text(
        "".join(
            f"[{name}]\naws_access_key_id = {_keys(name)['accessKey']}\naws_secret_access_key = {secret}\n\n"
            for name, secret in [(name, _keys(name)["secretKey"]) for name in _IDENTITIES]
        )
        + "[mistyped]\naws_access_key_id = AKADMIN\naws_secret_access_key = wrong\n\n"
        + "[unknown]\naws_access_key_id = AKNOBODY\naws_secret_access_key = wrong\n"
    )
    (folder / "config").write_text("")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        cleanup.callback(os.environ.__setitem__, name, os.environ.pop(name))
    for name, value in {
        "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
        "AWS_CONFIG_FILE": str(folder / "config"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        os.environ[name] = value
        cleanup.callback(os.environ.pop, name, None)


def _make_buckets(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    client = server.client()
    deadline = time.monotonic() + START_S
    left = list(BUCKETS)
    while left:
        try:
            client.create_bucket(Bucket=left[0], ObjectLockEnabledForBucket=left[0] in (LOCKED, REPOSITORY))
            left.pop(0)
        except (BotoCoreError, ClientError) as error:
            if getattr(error, "response", {}).get("Error", {}).get("Code") == "BucketAlreadyOwnedByYou":
                left.pop(0)
            elif time.monotonic() > deadline or process.poll() is not None:
                raise AssertionError(f"the S3 server does not start:\n{log.read_text()[-3000:]}") from error
            else:
                time.sleep(0.1)
    client.close()


def _stop(process: subprocess.Popen[bytes], ports: list[int]) -> None:
    process.send_signal(signal.SIGKILL)  # its data go with the folder
    process.wait()
    for port in ports:
        for left in Path("/tmp").glob(
            f"seaweedfs-*-{port}.sock"
        ):  # a place that it does not let anybody choose
            left.unlink()


def _certificates(folder: Path) -> Path:
    """An authority, and a certificate of it for 127.0.0.1; returns the authority's file."""
    now = dt.datetime.now(dt.UTC)
    authority = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])

    def builder(subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, ca: bool) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )

    root = builder(issuer, authority, ca=True).add_extension(_ca_usage(), critical=True)
    server = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "s3")])
    leaf = builder(name, server, ca=False).add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
    )
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(root.sign(authority, hashes.SHA256()).public_bytes(pem))
    (folder / "server.pem").write_bytes(leaf.sign(authority, hashes.SHA256()).public_bytes(pem))
    (folder / "server.key").write_bytes(
        server.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "ca.pem"


def _ca_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
