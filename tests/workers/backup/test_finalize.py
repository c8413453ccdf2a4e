"""The last step of a backup commits for whom the scheduler let, and for nobody else."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from crypto.ticket import DECRYPT, ENCRYPT
from tests.repository.conftest import Repo, repo
from tests.workers.backup.backing import Backing
from workers.admission import Stray

__all__ = ["repo"]


@pytest.fixture
def backing(tmp_path: Path, repo: Repo) -> Iterator[Backing]:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_bytes(b"content")
    made = Backing(tmp_path, repo, tmp_path / "source")
    yield made
    made.close()


def test_a_ticket_of_another_step_commits_nothing(backing: Backing, repo: Repo) -> None:
    with pytest.raises(Stray, match="commit"):
        backing.backup(operations=(DECRYPT, ENCRYPT))
    assert list(repo.store.list("snapshots/")) == []
    assert backing.contents(backing.backup()) == {"file": b"content"}
