"""What a worker process reads of its installation, and that it holds nothing once it has stopped."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.home import Home
from crypto.dek_cache import Slot
from crypto.errors import KeyWiped, Malformed
from crypto.identity import Identity
from crypto.registry import BACKUP, Registry
from crypto.secret import SecretKey
from tests.client.deliveries import enrolled, now_ms
from tests.workers.broker_server import Server
from tests.workers.working import VAULT, Working, working
from workers.process import MAX_IDENTITY_FILE, RegistryFile, load_identity, read_file


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.create()
    return made


@pytest.fixture
def worker(tmp_path: Path, broker: Server) -> Iterator[Working]:
    with working(tmp_path / "worker", broker, BACKUP) as made:
        yield made


def test_a_file_is_read_up_to_its_limit_and_no_further(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 11)
    assert read_file(tmp_path / "file", 11, "") == b"x" * 11
    with pytest.raises(ConfigError, match="larger") as refused:
        read_file(tmp_path / "file", 10, "make another")
    assert refused.value.remedy == "make another"
    with pytest.raises(ConfigError, match="cannot read"):
        read_file(tmp_path, 10, "")


@pytest.mark.parametrize("content", [None, b"", b"noise", bytes(MAX_IDENTITY_FILE + 1)])
def test_without_an_identity_the_command_that_makes_one_is_named(home: Home, content: bytes | None) -> None:
    if content is not None:
        (home.identities / BACKUP).write_bytes(content)
    with pytest.raises(ConfigError, match=BACKUP) as refused:
        load_identity(home, BACKUP)
    assert "strongroom identity new --role backup" in refused.value.remedy


def test_the_registry_is_read_again_when_it_changed(home: Home) -> None:
    file = RegistryFile(home.registry_file)
    with pytest.raises(ConfigError) as refused:
        file.current()
    assert "strongroom registry import" in refused.value.remedy
    home.registry_file.write_bytes(Registry().encode())
    first = file.current()
    assert file.current() is first
    one = Identity.generate(BACKUP)
    replacement = home.registry_file.with_name("new")
    replacement.write_bytes(Registry().with_identity(enrolled(one, BACKUP)).encode())
    replacement.rename(home.registry_file)
    assert file.current().identity(one.id).name == BACKUP


def test_a_registry_that_was_damaged_is_not_replaced_by_what_was_known(home: Home) -> None:
    home.registry_file.write_bytes(Registry().encode())
    file = RegistryFile(home.registry_file)
    file.current()
    home.registry_file.write_bytes(b"damaged")
    for _ in range(2):
        with pytest.raises(Malformed):
            file.current()
    os.unlink(home.registry_file)
    with pytest.raises(ConfigError):
        file.current()


def test_one_time_keys_are_kept_until_they_are_due(worker: Working, monkeypatch: pytest.MonkeyPatch) -> None:
    first = worker.process.keys()
    assert worker.process.keys() is first
    monkeypatch.setattr("workers.process.now_ms", lambda: now_ms() + 3_600_000)
    assert worker.process.keys() is not first


def test_a_process_that_stops_wipes_its_keys(worker: Working) -> None:
    key = SecretKey.generate()
    worker.process.cache.get(Slot(*VAULT, "dek", 1, "decrypt"), lambda: key)
    worker.process.stop()
    with pytest.raises(KeyWiped), key.view():
        pass
