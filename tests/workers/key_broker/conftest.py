from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crypto.keyrecord import CHUNK_ID
from crypto.keyrequest import Want
from crypto.registry import KEY_BROKER
from crypto.ticket import INIT
from tests.aws.server import FakeAws
from tests.workers.key_broker.valkey import Valkey, running_valkey
from tests.workers.key_broker.world import World
from workers.key_broker.outbox import Outbox


@pytest.fixture(scope="session")
def make_world() -> Callable[[Path], World]:
    """Makes an installation in a folder."""
    return World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def aws() -> Iterator[FakeAws]:
    made = FakeAws()
    yield made
    made.close()


@pytest.fixture
def chunk_id_want() -> Want:
    return Want(INIT, CHUNK_ID, 0, b"")


@pytest.fixture(scope="session")
def valkey() -> Iterator[Valkey]:
    """Started once, for the first test that asks for it."""
    with running_valkey() as running:
        yield running


@pytest.fixture
def outbox(valkey: Valkey) -> Iterator[Outbox]:
    made = Outbox(valkey.url(KEY_BROKER))
    yield made
    made.close()
