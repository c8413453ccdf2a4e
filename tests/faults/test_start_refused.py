"""A role that cannot work ends at once, with an exit code for systemd and a last line for a person."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.whole.hosts import Host, Site
from workers.run import EXIT_CONFIG, EXIT_NOT_LET_IN


@dataclass
class World:
    site: Site
    worker: Host


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    # A short path: the broker behind the TLS front listens on a socket.
    root = Path(tempfile.mkdtemp(prefix="start-"))
    site = Site(root, ())
    try:
        with site.broker():
            worker = site.host("worker", "backup")
            site.enrol(worker, "backup")
            site.spread_registry(worker)
            site.admin.run("pki", "init", str(root / "other"))
            yield World(site, worker)
    finally:
        shutil.rmtree(root)


def _remove(name: str) -> Callable[[World, Path], object]:
    return lambda _world, home: (home / name).unlink()


def _damage(name: str) -> Callable[[World, Path], object]:
    return lambda _world, home: (home / name).write_bytes(b"damaged")


def _bring(source: str, name: str) -> Callable[[World, Path], object]:
    return lambda world, home: shutil.copy(world.site.root / source, home / name)


def _another_ca(world: World, home: Path) -> None:
    _bring("other/backup.crt", "tls.crt")(world, home)
    _bring("other/backup.key", "tls.key")(world, home)


@pytest.mark.parametrize(
    ("spoil", "code", "words"),
    [
        (
            _remove("identities/backup"),
            EXIT_CONFIG,
            ("{home}/identities/backup", "identity new --role backup"),
        ),
        (
            _damage("identities/backup"),
            EXIT_CONFIG,
            ("{home}/identities/backup", "identity new --role backup"),
        ),
        (_remove("registry.json"), EXIT_CONFIG, ("{home}/registry.json", "registry import")),
        (_bring("broker/restore.password", "password"), EXIT_NOT_LET_IN, ("broker.user", "password_file")),
        (_bring("other/ca.crt", "ca.crt"), EXIT_NOT_LET_IN, ("certificate verify failed", "ca_file")),
        (_bring("other/backup.key", "tls.key"), EXIT_NOT_LET_IN, ("client's certificate", "key_file")),
        (_another_ca, EXIT_NOT_LET_IN, ("client's certificate", "cert_file")),
    ],
)
def test_the_last_line_says_what_is_wrong_and_what_to_do(
    world: World,
    tmp_path: Path,
    spoil: Callable[[World, Path], object],
    code: int,
    words: tuple[str, ...],
) -> None:
    home = tmp_path / "home"
    shutil.copytree(world.worker.home, home)
    settings = home / "config.toml"
    settings.write_text(settings.read_text().replace(str(world.worker.home), str(home)))
    spoil(world, home)
    lines = Host(home).run("worker", "--role", "backup", code=code).stderr.splitlines()
    (line,) = lines
    for word in words:
        assert word.format(home=home) in line
