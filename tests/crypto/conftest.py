import pytest

from tests.crypto.world import World


@pytest.fixture(scope="session")
def world() -> World:
    """Immutable, so that all tests share one."""
    return World()
