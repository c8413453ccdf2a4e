"""Scheduler, key-broker, workers, monitor and client on hosts of their own, over mutual TLS."""

import base64
import json
import os
import shlex
import shutil
import ssl
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from client.compare import compare
from config.home import Home
from crypto.registry import Registry
from tests.ports import reserved
from tests.whole.hosts import Host, Site
from workers.key_broker.state import BrokerState

HOST = "web1"
FLOWER_PASSWORD = "only for this test"


@dataclass
class World:
    site: Site
    client: Host
    web: Host
    monitor: Host
    ids: dict[str, str]
    tree: Path
    flower: int


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    # A short path: the broker behind the TLS front listens on a socket.
    root = Path(tempfile.mkdtemp(prefix="hosts-"))
    site = Site(root, (HOST,))
    try:
        with site.broker(), reserved(1) as (flower,):
            yield _build(site, flower)
            codes = site.stop()
        assert set(codes.values()) == {0}, codes
    finally:
        site.stop()
        shutil.rmtree(root)


def _build(site: Site, flower: int) -> World:
    root = site.root
    area = f'[delivery]\nareas = ["{(root / "client" / "delivery").as_uri()}"]\n'
    events = "[monitor]\nevents = true\n"
    (root / "flower.password").write_text(FLOWER_PASSWORD + "\n")
    monitor = (
        f'[monitor]\nflower_port = {flower}\nflower_password_file = "{root}/flower.password"\n'
        f'flower_cert_file = "{site.pki}/server-flower.crt"\nflower_key_file = "{site.pki}/server-flower.key"\n'
    )
    hosts = {
        "scheduler": site.host("scheduler", "scheduler"),
        "any": site.host("any", "backup", settings=events),
        "web": site.host("web", "backup", station=f"backup.{HOST}", settings=events),
        "restore": site.host("restore", "restore", settings=area),
        "maintenance": site.host("maintenance", "maintenance"),
        "client": site.host("client", "client"),
    }
    broker = site.host("key-broker", "key-broker")
    # The key-broker's home is where the registry is kept.
    for name in ("ca.crt", "tls.crt", "tls.key", "password"):
        shutil.copy(broker.home / name, site.admin.home / name)
    site.configure(site.admin)
    beat, watch = site.host("beat", "beat"), site.host("monitor", "monitor", settings=monitor)
    site.admin.run("--folder", str(site.admin.home / "kms"), "init", module="crypto.kms.admin")
    ids = {
        name: site.enrol(hosts[name], role) for name, role in (("scheduler", "scheduler"), ("any", "backup"))
    }
    ids["web"] = site.enrol(hosts["web"], "backup", "--host", HOST)
    ids["restore"] = site.enrol(hosts["restore"], "restore")
    ids["maintenance"] = site.enrol(hosts["maintenance"], "maintenance")
    ids["client"] = site.enrol(hosts["client"], "operator")
    ids["key-broker"] = site.enrol(site.admin, "key-broker")
    vault = ("docs", "--repo", str(root / "repository"), "--kms", "local-kms://docs")
    site.admin.run("vault", "add", *vault)
    site.spread_registry(*hosts.values())
    for host, role, *words in (
        (site.admin, "key-broker"),
        (hosts["scheduler"], "scheduler"),
        (beat, "beat"),
        (hosts["any"], "backup", "--concurrency", "1"),
        (hosts["web"], "backup", "--queue", f"backup.{HOST}", "--concurrency", "2"),
        (hosts["restore"], "restore", "--concurrency", "1"),
        (hosts["maintenance"], "maintenance"),
        (watch, "monitor"),
    ):
        site.start(host, role, *words)
    for running in site.running.values():
        running.wait_ready()
    hosts["client"].run("vault", "create", *vault)
    tree = root / "tree"
    (tree / "sub").mkdir(parents=True)
    for number in range(30):
        (tree / f"sub/{number}.txt").write_bytes(b"%d " % number * 999)
    (tree / "big").write_bytes(os.urandom(2 << 20))
    return World(site, hosts["client"], hosts["web"], watch, ids, tree, flower)


def unwrapped_by(world: World) -> list[str]:
    """The identities to which the key-broker has given keys, in order, from its audit log."""
    state = BrokerState(Home(world.site.admin.home).broker_db)
    try:
        return [entry.identity for entry in (row.entry() for row in state.audit()) if entry.kms_calls]
    finally:
        state.close()


def test_a_host_reads_its_files_and_a_client_elsewhere_restores_them(world: World, tmp_path: Path) -> None:
    done = world.client.json("backup", "docs", str(world.tree), "--host", HOST)
    assert (done["files"], done["errors"]) == (31, 0)
    assert unwrapped_by(world)[-1] == world.ids["web"]
    assert world.ids["web"] not in unwrapped_by(world)[:1]  # the vault was made by the worker of no host

    found = world.client.json("restore", "docs", f"latest:{world.tree}", "--target", str(tmp_path / "out"))
    assert (found["files"], found["errors"]) == (31, 0)
    assert compare(world.tree, tmp_path / "out").differences == []
    assert unwrapped_by(world)[-1] == world.ids["restore"]
    assert world.client.json("check", "docs")["errors"] == 0


def test_a_worker_gives_away_none_of_its_own_secrets(world: World, tmp_path: Path) -> None:
    """Who may ask for any backup, and its restore, must not become the worker."""
    home, second = world.web.home, world.site.root / "second"
    second.mkdir()
    os.link(home / "identities" / "backup", second / "name")
    (second / "link").symlink_to(home)
    asked = (home, second / "name", second / "link" / "password", second / "link" / "identities" / "backup")
    done = world.client.json("backup", "docs", *map(str, asked), "--host", HOST)
    told = {each["path"] for each in done["left_out"]}
    assert {str(path) for path in asked[1:]} <= told
    assert {str(home / name) for name in ("identities", "password", "tls.key")} <= told
    assert done["errors"] == 0

    world.client.json("restore", "docs", "latest", "--target", str(tmp_path / "out"))
    got = {path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert (home / "registry.json").read_bytes() in got
    secrets = [home / "password", home / "tls.key", home / "identities" / "backup"]
    assert not [path.name for path in secrets if path.read_bytes() in got]


def test_a_backup_for_no_host_is_done_by_the_worker_of_none(world: World) -> None:
    world.client.json("backup", "docs", str(world.tree))
    assert unwrapped_by(world)[-1] == world.ids["any"]
    (first, *_) = world.client.json("snapshots", "docs")
    assert first["hostname"] == HOST


def test_a_host_without_a_worker_is_refused_with_a_remedy(world: World) -> None:
    told = world.client.json("backup", "docs", "/x", "--host", "web9", code=1)
    assert "web9" in told["error"]
    assert "enrol" in told["remedy"]


def test_status_shows_every_queue(world: World) -> None:
    status = world.client.json("status")
    assert status["ready"] is True
    roles = {"scheduler", "beat", "key-broker", "backup", "backup.web1", "restore", "maintenance"}
    assert roles == set(status["seen"])
    assert status["queues"]["backup.web1"] == 0
    assert status["roles"]["key-broker"]["gateway"]["calls"] > 0


def test_a_host_that_was_taken_out_gets_no_key_any_more(world: World) -> None:
    world.site.admin.run("enrol", "--remove", world.ids["web"])
    world.site.spread_registry(Host(world.site.root / "scheduler"), world.client)
    try:
        told = world.client.json("backup", "docs", str(world.tree), "--host", HOST, code=1)
        assert told["code"] == "no-worker"
    finally:
        public = str(world.site.root / "web.pub")
        world.site.admin.run("enrol", public, "--role", "backup", "--host", HOST)
        world.site.spread_registry(Host(world.site.root / "scheduler"), world.client)
    assert world.client.json("backup", "docs", str(world.tree), "--host", HOST)["errors"] == 0


def test_keys_of_a_vault_that_is_forgotten_by_the_key_broker_are_given_no_more(world: World) -> None:
    admin = world.site.admin
    scheduler, restore, anyone = (Host(world.site.root / name) for name in ("scheduler", "restore", "any"))
    vault = ("more", "--repo", str(world.site.root / "more"), "--kms", "local-kms://docs")
    admin.run("vault", "add", *vault)
    early = world.client.json("vault", "create", *vault, code=1)
    assert "registry import" in early["remedy"]
    world.site.spread_registry(world.client)
    early = world.client.json("vault", "create", *vault, code=1)
    assert "import the registry's new copy on every one" in early["remedy"]
    world.site.spread_registry(scheduler, restore, anyone)
    world.client.run("vault", "create", *vault)
    before = _unnumbered(admin)
    told = admin.json("vault", "forget", "more", "--yes")
    refused = world.client.json("snapshots", "more", code=1)
    assert refused["code"] == "out-of-scope"
    world.client.run("snapshots", "docs")
    words = shlex.split(told["again"])
    assert words[:3] == ["strongroom", "vault", "add"]
    admin.run(*words[1:])
    assert _unnumbered(admin) == before
    assert world.client.json("snapshots", "more") == []


def _unnumbered(host: Host) -> Registry:
    found = Registry.decode((host.home / "registry.json").read_bytes())
    return msgspec.structs.replace(found, serial=0)


def test_signs_of_life_go_on(world: World) -> None:
    alive = [running.alive for running in world.site.running.values()]
    before = [path.stat().st_mtime_ns for path in alive]
    deadline = time.monotonic() + 60
    while not all(path.stat().st_mtime_ns > old for path, old in zip(alive, before, strict=True)):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_flower_over_tls_knows_the_workers_and_lets_nobody_in_without_the_password(world: World) -> None:
    context = ssl.create_default_context(cafile=str(world.site.pki / "ca.crt"))
    url = f"https://localhost:{world.flower}/api/tasks"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url, context=context)
    assert refused.value.code == 401
    refused.value.close()
    words = base64.b64encode(f"strongroom:{FLOWER_PASSWORD}".encode()).decode()
    request = urllib.request.Request(url, headers={"Authorization": f"Basic {words}"})
    deadline = time.monotonic() + 60
    while True:
        with urllib.request.urlopen(request, context=context) as answer:
            seen = {(task["name"], task["worker"].partition("@")[0]) for task in json.load(answer).values()}
        if ("backup.segment", "backup") in seen:
            break
        assert time.monotonic() < deadline, seen
        time.sleep(0.5)
    assert {worker for _, worker in seen} <= {"backup"}  # those whose settings ask for events
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        urllib.request.urlopen(url.replace("https", "http"))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"ca_file": "{pki}/../other/ca.crt"}, "certificate verify failed"),
        (
            {"cert_file": "{pki}/../other/client.crt", "key_file": "{pki}/../other/client.key"},
            "client's certificate or key is not accepted",
        ),
        ({"url": "rediss://127.0.0.2:{port}/0"}, "127.0.0.2"),
        ({"key_file": "{pki}/../other/client.key"}, "client's certificate or key is not accepted"),
        ({"password_file": "{users}/backup.password"}, "refuses"),
        ({"user": "scheduler"}, "refuses"),
        ({"ca_file": ""}, "ca_file"),
        ({"url": "redis://192.0.2.1:{port}/0"}, "another machine"),
    ],
)
def test_whoever_is_not_who_they_say_gets_nowhere(
    world: World, tmp_path: Path, changed: dict[str, str], words: str
) -> None:
    """Another CA's broker, another CA's client, another name than the certificate's, another user's password."""
    site = world.site
    if not (site.root / "other").exists():
        site.admin.run("pki", "init", str(site.root / "other"))
    home = tmp_path / "home"
    shutil.copytree(world.client.home, home)
    values = {
        name: value.format(pki=site.pki, users=site.users, port=site.port) for name, value in changed.items()
    }
    names = {f"STRONGROOM_BROKER_{name.upper()}": value for name, value in values.items()}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in names.items():
            patch.setenv(name, value)
        told = Host(home).json("status", code=1)
    assert words in told["error"]
    assert any(f"broker.{name}" in told["remedy"] for name in (*changed, "ca_file"))
