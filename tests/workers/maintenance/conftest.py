import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.repository.conftest import Repo, repo
from tests.workers.backup.backing import Backing
from tests.workers.maintenance.upkeep import Upkeep

__all__ = ["repo"]


@pytest.fixture
def upkeep(tmp_path: Path, repo: Repo) -> Iterator[Upkeep]:
    made = Upkeep(tmp_path / "upkeep", repo)
    yield made
    made.close()


@pytest.fixture
def backing(tmp_path: Path, repo: Repo) -> Iterator[Backing]:
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if os.path.isdir(memory) else None) as source:
        made = Backing(tmp_path, repo, Path(source))
        yield made
        made.close()
