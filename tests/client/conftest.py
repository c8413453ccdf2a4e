from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.scripted import Server, World, running_server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with running_server() as running:
        yield running


@pytest.fixture
def world(tmp_path: Path, server: Server) -> Iterator[World]:
    with server.admin() as admin:
        admin.flushall()
    made = World(tmp_path, server)
    yield made
    made.session.mailbox.close()
    made.session.publisher.close()
