"""Signs of life of a role that runs by itself."""

import socket
from pathlib import Path

import pytest

from workers.pulse import NOTIFY_VARIABLE, Pulse


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
