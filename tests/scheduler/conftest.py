from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scheduler.world import People, World


@pytest.fixture(scope="session")
def people() -> People:
    return People()


@pytest.fixture
def world(tmp_path: Path, people: People) -> Iterator[World]:
    world = World(tmp_path, people)
    yield world
    world.ledger.close()
