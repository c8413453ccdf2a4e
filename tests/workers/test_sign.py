"""A role's sign of life, on a real broker and without one."""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import queues
from config.broker import BrokerSettings
from tests.config.acl_server import ValkeyServer
from tests.ports import reserved
from workers.sign import Sign


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeyServer]:
    with tempfile.TemporaryDirectory(prefix="sign-") as folder:
        running = ValkeyServer(Path(folder))
        yield running
        running.stop()


def test_a_sign_holds_nothing_and_tells_its_age(server: ValkeyServer) -> None:
    Sign("backup.web1", server.url("backup.web1"), BrokerSettings()).give()
    assert server.admin.get("alive:backup.web1") == b""
    assert 0 < server.admin.pttl("alive:backup.web1") <= queues.SIGN_LIFE_S * 1000


@pytest.mark.parametrize("away", [False, True])
def test_a_sign_that_cannot_be_given_stops_nobody_and_is_logged_once(
    server: ValkeyServer, caplog: pytest.LogCaptureFixture, away: bool
) -> None:
    # A user that may not: its rules are of an older release.
    with reserved(1) as (port,), caplog.at_level(logging.WARNING, "workers.sign"):
        nobody = f"redis://127.0.0.1:{port}/0"
        sign = Sign("beat", nobody if away else server.url("monitor"), BrokerSettings())
        sign.give()
        sign.give()
    assert len(caplog.records) == 1
    assert server.admin.exists("alive:beat") == 0
