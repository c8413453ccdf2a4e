"""Running one role by itself: what it is given, and the signs of life that it gives."""

import socket
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.home import Home
from workers.pulse import NOTIFY_VARIABLE, Pulse
from workers.run import make_context

LOCAL = (
    '[broker]\nurl = "redis://127.0.0.1:6379/0"\npassword_file = "{home}/password"\n[workers]\nbackup = 3\n'
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "config.toml").write_text(LOCAL.format(home=tmp_path))
    return Home(tmp_path)


def test_a_role_is_its_own_user_with_its_own_password(home: Home) -> None:
    context = make_context(home, "restore")
    assert context.broker_url == "redis://restore:secret@127.0.0.1:6379/0"
    assert (context.role, context.host, context.one_shot) == ("restore", "", False)


def test_a_worker_of_a_host_is_a_user_of_its_own(home: Home) -> None:
    context = make_context(home, "backup", "backup.web1", 7)
    assert context.broker_url.startswith("redis://backup.web1:")
    assert (context.host, context.settings.workers.backup) == ("web1", 7)
    assert make_context(home, "backup", "backup").settings.workers.backup == 3


@pytest.mark.parametrize(
    ("role", "queue", "concurrency"),
    [
        ("backup", "restore", 0),
        ("backup", "backup.", 0),
        ("backup", "backup.*", 0),
        ("backup", "keys.web1", 0),
        ("restore", "restore.web1", 0),
        ("beat", "scheduler", 0),
        ("beat", "", 2),
        ("scheduler", "", 2),
        ("backup", "", 1000),
        ("backup", "", -1),
    ],
)
def test_what_a_role_does_not_do_is_refused(home: Home, role: str, queue: str, concurrency: int) -> None:
    with pytest.raises(ConfigError) as refusal:
        make_context(home, role, queue, concurrency)
    assert refusal.value.remedy


def test_without_a_broker_there_is_nobody_to_work_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no broker"):
        make_context(Home(tmp_path), "backup")


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    address = f"@strongroom-test-{tmp_path.name}" if abstract else str(tmp_path / "notify")
    monkeypatch.setenv(NOTIFY_VARIABLE, address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + address[1:] if abstract else address)
        systemd.settimeout(5)
        Pulse(tmp_path / "alive").ready()
        assert [systemd.recv(100), systemd.recv(100)] == [b"WATCHDOG=1", b"READY=1"]


def test_the_file_is_touched_at_every_beat_and_gone_at_a_start(tmp_path: Path) -> None:
    file = tmp_path / "alive"
    pulse = Pulse(file)
    assert not file.exists()
    pulse.beat()
    first = file.stat().st_mtime_ns
    assert file.stat().st_mode & 0o777 == 0o600
    pulse.beat()
    assert file.stat().st_mtime_ns >= first
    Pulse(file)
    assert not file.exists()


def test_a_sign_that_cannot_be_given_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NOTIFY_VARIABLE, str(tmp_path / "nobody"))
    Pulse(tmp_path / "missing" / "alive").ready()
