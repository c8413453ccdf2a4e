from collections.abc import Iterator

import pytest

from tests.workers.broker_server import Server, broker_server
from tests.workers.working import USERS


@pytest.fixture(scope="session")
def broker() -> Iterator[Server]:
    """A real Valkey, started once, for tests that leave it as it is."""
    with broker_server(*USERS) as running:
        yield running
