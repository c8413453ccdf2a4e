"""The last step of a backup commits for whom the scheduler let, and for nobody else."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crypto.errors import Expired
from crypto.ticket import DECRYPT, ENCRYPT
from repository.catalog import write_snapshot
from tests.repository.conftest import Repo, repo
from tests.workers.backup.backing import TICKET_MS, Backing
from workers.admission import Stray
from workers.backup import finalize, session
from workers.process import now_ms

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


def test_a_worker_that_stood_still_until_its_ticket_was_over_commits_nothing(
    backing: Backing, repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes to itself when everything is ready but the snapshot."""
    real, now = write_snapshot, now_ms()

    def late(*args: Any) -> None:
        monkeypatch.setattr(session, "now_ms", lambda: now + 2 * TICKET_MS)
        real(*args)

    monkeypatch.setattr(finalize, "write_snapshot", late)
    with pytest.raises(Expired):
        backing.backup()
    assert list(repo.store.list("snapshots/")) == []
