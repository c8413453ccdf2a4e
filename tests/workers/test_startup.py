"""A start that cannot come to anything is refused at once; a broker that is away is waited for."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.queues import BEAT
from crypto.errors import Malformed
from tests.workers.broker_server import Server, broker_server
from tests.workers.working import Working, working
from workers.startup import NotLetIn, require_start


@pytest.fixture
def worker(tmp_path: Path, broker: Server) -> Iterator[Working]:
    with working(tmp_path, broker, "backup") as made:
        yield made


def test_a_role_that_has_everything_may_start(worker: Working) -> None:
    require_start(worker.context)


def test_what_is_missing_is_named(worker: Working) -> None:
    identity, registry = worker.home.identities / "backup", worker.home.registry_file
    kept = identity.read_bytes()
    identity.unlink()
    with pytest.raises(ConfigError, match="identities/backup"):
        require_start(worker.context)
    identity.write_bytes(kept)
    registry.write_bytes(b"damaged")
    with pytest.raises(Malformed):
        require_start(worker.context)
    registry.unlink()
    with pytest.raises(ConfigError, match=r"registry") as refused:
        require_start(worker.context)
    assert "strongroom registry import" in refused.value.remedy


def test_a_role_without_a_queue_needs_neither(worker: Working, tmp_path: Path) -> None:
    (worker.home.identities / "backup").unlink()
    worker.home.registry_file.unlink()
    require_start(replace(worker.context, role=BEAT))


def test_a_password_that_the_broker_does_not_know_is_no_start(worker: Working) -> None:
    user, _, place = worker.context.broker_url.partition("@")
    wrong = f"{user.rpartition(':')[0]}:wrong@{place}"
    with pytest.raises(NotLetIn) as refused:
        require_start(replace(worker.context, broker_url=wrong))
    assert refused.value.remedy


def test_a_broker_that_is_away_is_no_reason_to_end(worker: Working) -> None:
    with broker_server("backup") as gone:
        url = gone.url("backup")
    require_start(replace(worker.context, broker_url=url))
