"""Hosts as network namespaces with addresses of their own: a worker that cannot reach the KMS, a key-broker that can.

Needs root and `ip netns`; without them there is nothing to try.

    this machine: broker, scheduler, restore worker, client
        10.77.1.1 --- 10.77.1.2  web1: its backup worker
        10.77.2.1 --- 10.77.2.2  keys: the key-broker   10.77.3.1 --- 10.77.3.2  kms: the strict fake of AWS KMS
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from client.compare import compare
from crypto.registry import Registry
from tests.whole.hosts import Host, Site
from tests.whole.room import wait_for

HOST = "web1"
KMS = "10.77.3.2"
KMS_PORT = 8443
UNNAMED = "10.77.1.9"
"""One of the broker's addresses that is not in its certificate."""
ROOT = Path(__file__).parents[2]
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5).close()"


@dataclass
class Network:
    """The names of the namespaces."""

    worker: str
    keys: str
    kms: str


@dataclass
class World:
    network: Network
    site: Site
    client: Host
    web: Host
    tree: Path


def ip(*words: str, check: bool = True) -> bool:
    return subprocess.run(["ip", *words], capture_output=True, check=check).returncode == 0


def inside(namespace: str) -> tuple[str, ...]:
    return ("ip", "netns", "exec", namespace)


def reaches(namespace: str, address: str, port: int) -> bool:
    command = [*inside(namespace), sys.executable, "-c", CONNECT, address, str(port)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@contextmanager
def network() -> Iterator[Network]:
    names = Network(*(f"sr-{os.getpid()}-{each}" for each in ("worker", "keys", "kms")))
    with ExitStack() as cleanup:
        for name in (names.worker, names.keys, names.kms):
            ip("netns", "add", name)
            # Its links go with it.
            cleanup.callback(ip, "netns", "del", name, check=False)
            ip("-n", name, "link", "set", "lo", "up")
        _link("", "10.77.1.1", names.worker, "10.77.1.2")
        _link("", "10.77.2.1", names.keys, "10.77.2.2")
        _link(names.keys, "10.77.3.1", names.kms, KMS)
        ip("address", "add", f"{UNNAMED}/24", "dev", "sr10.77.1.1")
        yield names


def _link(one: str, address: str, other: str, opposite: str) -> None:
    ends = ((one, address), (other, opposite))
    first, second = (f"sr{each}" for _, each in ends)
    ip("link", "add", first, "type", "veth", "peer", "name", second)
    for namespace, each in ends:
        where: tuple[str, ...] = ()
        if namespace:
            ip("link", "set", f"sr{each}", "netns", namespace)
            where = ("-n", namespace)
        ip(*where, "address", "add", f"{each}/24", "dev", f"sr{each}")
        ip(*where, "link", "set", f"sr{each}", "up")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    if os.geteuid() or shutil.which("ip") is None or not ip("netns", "add", "sr-probe", check=False):
        pytest.skip("needs root and ip netns")
    ip("netns", "del", "sr-probe")
    # A short path: the broker behind the TLS front listens on a socket.
    root = Path(tempfile.mkdtemp(prefix="apart-"))
    with ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, root)
        names = cleanup.enter_context(network())
        site = Site(
            root,
            (HOST,),
            addresses=("127.0.0.1", "10.77.1.1", "10.77.2.1", UNNAMED),
            names=("10.77.1.1", "10.77.2.1"),
        )
        cleanup.enter_context(site.broker())
        cleanup.callback(site.stop)
        kms = cleanup.enter_context(_kms(site, names))
        yield _build(site, names, kms)


@contextmanager
def _kms(site: Site, names: Network) -> Iterator[str]:
    """The fake, in its own network; the URI of its CMK."""
    out = site.root / "aws"
    out.mkdir()
    site.admin.run("pki", "issue", str(site.pki), "server-aws", "--host", KMS)
    tenant = Registry.decode((site.admin.home / "registry.json").read_bytes()).tenant.hex()
    tls = ("--tls", str(site.pki / "server-aws.crt"), str(site.pki / "server-aws.key"))
    with (site.root / "aws.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(*inside(names.kms), sys.executable, "-m", "tests.aws.serve", "--address", KMS),
                *("--port", str(KMS_PORT), "--endpoint", f"https://{KMS}:{KMS_PORT}"),
                *("--ca", str(site.pki / "ca.crt"), "--out", str(out), *tls, tenant),
            ],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=log,
        )
    try:
        wait_for((out / "uri").exists)
        yield (out / "uri").read_text().strip()
    finally:
        process.kill()
        process.wait()


def _build(site: Site, names: Network, kms: str) -> World:
    area = site.root / "parcels"
    area.mkdir(mode=0o700)
    uri = area.as_uri()
    scheduler = site.host("scheduler", "scheduler")
    web = site.host(HOST, "backup", station=f"backup.{HOST}", inside=inside(names.worker), broker="10.77.1.1")
    restore = site.host("restore", "restore", settings=f'[delivery]\nareas = ["{uri}"]\n')
    client = site.host("client", "client", settings=f'[delivery]\narea = "{uri}"\n')
    broker = site.host("key-broker", "key-broker")
    for name in ("ca.crt", "tls.crt", "tls.key", "password"):
        shutil.copy(broker.home / name, site.admin.home / name)
    site.admin.inside, site.admin.broker = inside(names.keys), "10.77.2.1"
    site.admin.variables = {
        "AWS_SHARED_CREDENTIALS_FILE": str(site.root / "aws" / "credentials"),
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    site.configure(site.admin)
    site.enrol(scheduler, "scheduler")
    site.enrol(web, "backup", "--host", HOST)
    site.enrol(restore, "restore")
    site.enrol(client, "operator")
    site.enrol(site.admin, "key-broker")
    vault = ("docs", "--repo", str(site.root / "repository"), "--kms", kms)
    site.admin.run("vault", "add", *vault, "--host", HOST)
    site.spread_registry(scheduler, web, restore, client)
    site.start(site.admin, "key-broker")
    site.start(scheduler, "scheduler")
    site.start(site.host("beat", "beat"), "beat")
    site.start(web, "backup", "--queue", f"backup.{HOST}", "--concurrency", "1")
    site.start(restore, "restore", "--concurrency", "1")
    for running in site.running.values():
        running.wait_ready()
    client.run("vault", "create", *vault)
    tree = site.root / "tree"
    tree.mkdir()
    for number in range(10):
        (tree / f"{number}.txt").write_bytes(b"%d " % number * 999)
    return World(names, site, client, web, tree)


def test_only_the_key_brokers_host_reaches_the_kms(world: World):
    assert reaches(world.network.keys, KMS, KMS_PORT)
    assert not reaches(world.network.worker, KMS, KMS_PORT)
    assert reaches(world.network.worker, "10.77.1.1", world.site.port), "it has a network"
    assert not reaches(world.network.worker, "10.77.2.2", world.site.port)


def test_a_host_that_cannot_reach_the_kms_backs_up_under_its_keys(world: World, tmp_path: Path):
    made = world.client.json("backup", "docs", str(world.tree))
    assert (made["files"], made["errors"]) == (10, 0)
    world.client.run("restore", "docs", f"latest:{world.tree}", "--target", str(tmp_path / "back"))
    assert compare(world.tree, tmp_path / "back").differences == []


def test_a_broker_under_an_address_that_its_certificate_does_not_name_is_refused(world: World):
    assert reaches(world.network.worker, UNNAMED, world.site.port)
    other = world.site.host("stray", "client", inside=inside(world.network.worker), broker=UNNAMED)
    shutil.copy(world.client.home / "registry.json", other.home / "registry.json")
    shutil.copytree(world.client.home / "identities", other.home / "identities")
    said = other.run("status", code=1).stderr
    assert "no TLS with the message broker" in said
