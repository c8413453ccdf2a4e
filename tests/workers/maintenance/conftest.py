from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.repository.conftest import Repo, repo
from tests.workers.maintenance.upkeep import Upkeep

__all__ = ["repo"]


@pytest.fixture
def upkeep(tmp_path: Path, repo: Repo) -> Iterator[Upkeep]:
    made = Upkeep(tmp_path / "upkeep", repo)
    yield made
    made.close()
