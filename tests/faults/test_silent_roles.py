"""Roles that do not run are named, with since when, by `status` and by the commands that wait for them."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from client.installation import python_command
from config import queues
from config.broker import broker_url, redis_arguments
from config.home import Home
from config.settings import load
from tests.whole.hosts import Host, Site

HOST = "web1"
ROLES = ("backup.web1", "beat", "key-broker", "scheduler")
START_S = 90.0


@dataclass
class World:
    site: Site
    hosts: dict[str, Host]
    client: Host
    vault: tuple[str, ...]

    def start(self, role: str) -> None:
        words = ("--queue", f"backup.{HOST}", "--concurrency", "1") if role.endswith(HOST) else ()
        self.site.start(self.hosts[role], role.partition(".")[0], *words).wait_ready()

    def stop(self, role: str) -> None:
        assert self.site.running[self.hosts[role].home.name].stop() == 0

    def last_seen(self, role: str, seconds_ago: int) -> None:
        """As if the role, which does not run, had ended so long ago: what its own user could do."""
        broker = load(Home(self.hosts[role].home)).broker
        url, tls = redis_arguments(broker, broker_url(broker, role))
        with redis.Redis.from_url(url, **tls) as connection:
            connection.set(queues.sign_key(role), b"", ex=queues.SIGN_LIFE_S - seconds_ago)

    @contextmanager
    def waiting(self, *words: str, told: str) -> Iterator[Path]:
        """A command that has said `told` and waits; it must end well after the block. Gives what it has said."""
        command, environment = python_command("client.main", *words)
        said = self.site.root / "said"
        with said.open("wb") as output:
            process = subprocess.Popen(command, env=self.client.environment(environment), stderr=output)
        try:
            deadline = time.monotonic() + START_S
            while told not in said.read_text():
                assert process.poll() is None, said.read_text()
                assert time.monotonic() < deadline, said.read_text()
                time.sleep(0.05)
            yield said
            assert process.wait(START_S) == 0, said.read_text()
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    # A short path: the broker behind the TLS front listens on a socket.
    root = Path(tempfile.mkdtemp(prefix="silent-"))
    site = Site(root, (HOST,))
    try:
        with site.broker():
            yield _build(site)
            site.stop()
    finally:
        site.stop()
        shutil.rmtree(root)


def _build(site: Site) -> World:
    client = site.host("client", "client")
    hosts = {
        "scheduler": site.host("scheduler", "scheduler"),
        "beat": site.host("beat", "beat"),
        "backup.web1": site.host("web", "backup", station=f"backup.{HOST}"),
        "key-broker": site.admin,
    }
    broker = site.host("key-broker", "key-broker")
    for name in ("ca.crt", "tls.crt", "tls.key", "password"):
        shutil.copy(broker.home / name, site.admin.home / name)
    site.configure(site.admin)
    site.admin.run("--folder", str(site.admin.home / "kms"), "init", module="crypto.kms.admin")
    site.enrol(hosts["scheduler"], "scheduler")
    site.enrol(hosts["backup.web1"], "backup", "--host", HOST)
    site.enrol(site.admin, "key-broker")
    site.enrol(client, "operator")
    vault = ("docs", "--repo", str(site.root / "repository"), "--kms", "local-kms://docs")
    site.admin.run("vault", "add", *vault, "--host", HOST)
    site.spread_registry(hosts["scheduler"], hosts["backup.web1"], client)
    return World(site, hosts, client, vault)


def test_silent_roles_are_told_and_nothing_fails_early(world: World, tmp_path: Path) -> None:
    nobody = world.client.json("status", code=1)
    assert nobody["ready"] is False
    assert nobody["seen"] == dict.fromkeys(ROLES)

    for role in ("key-broker", "beat", "backup.web1"):
        world.start(role)
    told = world.client.run("status", code=1)
    assert [line for line in told.stderr.splitlines() if line.startswith("strongroom: ")] == [
        "strongroom: no scheduler has been seen since the broker began"
    ]
    never = "strongroom: waiting: no scheduler has been seen since the broker began\n"
    with world.waiting("vault", "create", *world.vault, told=never) as said:
        world.start("scheduler")
    assert said.read_text() == never
    assert world.client.json("status")["ready"] is True

    world.stop("key-broker")
    world.last_seen("key-broker", 3600)
    told = world.client.run("status", code=1)
    (line,) = (line for line in told.stderr.splitlines() if line.startswith("strongroom: "))
    assert line.startswith("strongroom: no key-broker has been seen since 2")
    (tmp_path / "file").write_bytes(b"content")
    waits = "strongroom: waiting: no key-broker has been seen since 2"
    with world.waiting("backup", "docs", str(tmp_path / "file"), told=waits) as said:
        world.start("key-broker")
    assert said.read_text().count("no key-broker") == 1
