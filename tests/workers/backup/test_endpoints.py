"""No requester sends a worker's token to a server of his choice."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from config.broker import BrokerSettings
from config.settings import Settings, StoreSettings
from crypto.identity import Identity
from crypto.job import BackupSpec
from crypto.ticket import Ticket, issue
from tests.evil import answer, evil
from workers.admission import Job
from workers.backup.endpoints import EndpointRefused, require_endpoints
from workers.backup.session import BackupSession

SHARED = BrokerSettings(url="rediss://broker.example:6379")
REPO = "s3://repo/p?endpoint=https://own.example:9000"


def check(uri: str, settings: Settings, repo: str = REPO) -> None:
    require_endpoints([uri], repo, settings)


@pytest.mark.parametrize("endpoint", ["https://own.example:9000", "https://listed.example", ""])
def test_servers_that_an_administrator_named_are_asked(endpoint: str) -> None:
    settings = Settings(
        broker=SHARED, store=StoreSettings(source_endpoints=("https://listed.example/", "https://b.example"))
    )
    check(f"s3://data/x?endpoint={endpoint}" if endpoint else "s3://data/x", settings)


@pytest.mark.parametrize(
    "endpoint",
    ["https://evil.example", "https://own.example", "https://own.example:9001", "http://localhost:6379"],
)
@pytest.mark.parametrize("repo", [REPO, "file:///vault"])
def test_no_other_is(endpoint: str, repo: str) -> None:
    with pytest.raises(EndpointRefused, match="no server") as caught:
        check(f"s3://data/x?endpoint={endpoint}", Settings(broker=SHARED), repo)
    assert "source_endpoints" in caught.value.remedy


def test_a_stack_of_ones_own_asks_any() -> None:
    check("s3://data/x?endpoint=https://evil.example", Settings())


def test_a_job_for_another_server_ends_before_anything_is_sent_there(tmp_path: Path) -> None:
    with evil(lambda asked: [answer(b"")]) as server:
        paths = (f"s3://data/x?endpoint={server.url}&region=us-east-1".encode(),)
        spec = BackupSpec(tmp_path.as_uri(), bytes(32), paths, (), (), "host")
        ticket = Ticket(1, bytes(16), bytes(16), 1, bytes(16), bytes(16), "backup", (), b"", 0, 1, 9)
        job = Job(ticket, issue(Identity.generate("scheduler"), ticket), b"", spec)
        own: Any = SimpleNamespace(process=SimpleNamespace(settings=Settings(broker=SHARED)))
        with pytest.raises(EndpointRefused):
            BackupSession(own, job, lambda *_, **__: None).source()
        assert not server.seen
