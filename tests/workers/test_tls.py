"""Who is taken for the broker over TLS, by everything that connects to it."""

import asyncio
import os
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis.asyncio
from cryptography.x509.oid import ExtendedKeyUsageOID

from client.wire import Wire
from config import queues
from config.broker import BrokerSettings, tls_options
from config.settings import Settings
from crypto import pki
from tests.tls_front import TlsFront
from workers.app import make_app
from workers.lists import Lists
from workers.stack.passwords import Passwords
from workers.stack.valkey import Valkey
from workers.task import send
from workers.tls import VerifiedAsyncConnection

USERS = (queues.SCHEDULER, queues.BACKUP, queues.CLIENT, queues.MONITOR)


class Place:
    """A broker behind TLS whose certificate is the test's choice."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ours, self.other = pki.new_authority("ours"), pki.new_authority("a public one")
        client = self.ours.issue_client("backup")
        for name, data in (
            ("ca.crt", self.ours.certificate),
            ("other.crt", self.other.certificate),
            ("client.crt", client.certificate),
            ("client.key", client.key),
        ):
            (folder / name).write_bytes(data)
        self.passwords = Passwords(USERS)
        self.valkey = Valkey(folder, folder / "valkey.log")
        self.valkey.configure(self.passwords)
        self.pid = self.valkey.start()
        self.valkey.wait(self.pid)
        self.front: TlsFront | None = None

    def show(self, issued: pki.Issued) -> None:
        (self.folder / "server.crt").write_bytes(issued.certificate)
        (self.folder / "server.key").write_bytes(issued.key)
        ca, certificate, key = (self.folder / name for name in ("ca.crt", "server.crt", "server.key"))
        self.front = TlsFront(self.valkey.socket, ca, certificate, key)

    @property
    def settings(self) -> Settings:
        assert self.front is not None
        broker = BrokerSettings(
            url=f"rediss://localhost:{self.front.port}/0",
            ca_file=str(self.folder / "ca.crt"),
            cert_file=str(self.folder / "client.crt"),
            key_file=str(self.folder / "client.key"),
        )
        return Settings(broker=broker)

    def url(self, user: str) -> str:
        assert self.front is not None
        return f"rediss://{user}:{self.passwords[user].decode()}@localhost:{self.front.port}/0"

    def stop(self) -> None:
        if self.front:
            self.front.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="tls-") as folder:
        made = Place(Path(folder))
        # What OpenSSL takes for the system's list of CAs.
        monkeypatch.setenv("SSL_CERT_FILE", str(made.folder / "other.crt"))
        yield made
        made.stop()


def command(place: Place) -> None:
    wire = Wire(place.url(queues.CLIENT), place.settings.broker, connect_timeout_s=5, timeout_s=5)
    try:
        wire.call("LLEN", queues.KEYS_QUEUE)
    finally:
        wire.close()


def lists(place: Place) -> None:
    Lists(place.url(queues.BACKUP), place.settings.broker).push_letter(b"j" * 16, b"letter")


def consumer(place: Place) -> None:
    app = make_app(queues.SCHEDULER, place.settings, place.url(queues.SCHEDULER))
    with app.connection_for_read() as connection:
        connection.default_channel.client.llen(queues.SCHEDULER_QUEUE)
    app.close()


def producer(place: Place) -> None:
    app = make_app(queues.BACKUP, place.settings, place.url(queues.BACKUP))
    try:
        send(app, queues.REPORT)
    finally:
        app.close()


def monitor(place: Place) -> None:
    app = make_app(queues.MONITOR, place.settings, place.url(queues.MONITOR))
    with app.connection() as connection:
        connection.default_channel.client.llen(queues.SCHEDULER_QUEUE)
    app.close()


def page_of_queues(place: Place) -> None:
    async def ask() -> None:
        options = tls_options(place.settings.broker, place.url(queues.MONITOR))
        client = redis.asyncio.Redis.from_url(place.url(queues.MONITOR), **options)
        client.connection_pool.connection_class = VerifiedAsyncConnection  # as `QueuesPage` does
        try:
            await client.llen(queues.SCHEDULER_QUEUE)
        finally:
            await client.aclose()

    asyncio.run(ask())


WAYS = (command, lists, consumer, producer, monitor, page_of_queues)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_the_broker_is_who_our_ca_says(place: Place, way: Callable[[Place], None]) -> None:
    place.show(place.ours.issue_server("broker", ["localhost"]))
    way(place)
    assert place.front is not None
    assert set(place.front.names) == {"backup"}


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_no_other_ca_counts_not_even_the_systems(place: Place, way: Callable[[Place], None]) -> None:
    place.show(place.other.issue_server("broker", ["localhost"]))
    with pytest.raises(Exception) as refused:  # noqa: PT011 - each in its own words
        way(place)
    assert "certificate verify failed" in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_name_that_is_no_hosts_name_does_not_count(place: Place, way: Callable[[Place], None]) -> None:
    place.show(place.ours._issue("localhost", ExtendedKeyUsageOID.SERVER_AUTH, None))
    with pytest.raises(Exception) as refused:  # noqa: PT011 - each in its own words
        way(place)
    assert "certificate verify failed" in "".join(traceback.format_exception(refused.value))
