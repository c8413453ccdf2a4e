from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crypto.keyrecord import CHUNK_ID
from crypto.keyrequest import Want
from crypto.ticket import INIT
from tests.aws.server import FakeAws
from tests.workers.key_broker.world import World


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
