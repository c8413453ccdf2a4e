"""A long job stays alive while it works, says how far it is, and asks for its key so that it hears of its end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from crypto import job, notes
from crypto.errors import KeyRefused
from repository.errors import ObjectMissing
from repository.walk import Far
from tests.workers.broker_server import Server
from tests.workers.working import Working, working
from workers.keys import VaultKeys
from workers.maintenance import live as module
from workers.maintenance.live import Live


class Keys:
    """A key ring that says why there is no key."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = None

    def chunk_id_key(self) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error


@pytest.fixture
def worker(tmp_path: Path, broker: Server) -> Iterator[Working]:
    with working(tmp_path, broker, "maintenance") as made:
        yield made


def test_totals_are_told_when_they_change_and_progress_now_and_then(
    worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "NOTE_EVERY_S", 0.0)
    admitted = worker.job(job.CheckSpec("file:///repo", worker.requester, False))
    keys: VaultKeys = Keys()  # type: ignore[assignment]
    live = Live(worker.reporter(admitted), keys)
    for far in (Far(1, 10, 0, 0), Far(2, 10, 0, 0), Far(3, 20, 0, 0)):
        live(far)
    told = worker.notes(admitted)
    assert [note for note in told if isinstance(note, notes.Planned)] == [
        notes.Planned(1, 10, 0),
        notes.Planned(1, 20, 0),
    ]
    assert [note for note in told if isinstance(note, notes.Progress)] == [notes.Progress(0, 1, 0)]


def test_a_key_is_asked_for_so_that_a_job_that_was_called_off_ends(
    worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    admitted = worker.job(job.CheckSpec("file:///repo", worker.requester, False))
    held = Keys()
    keys: VaultKeys = held  # type: ignore[assignment]
    live = Live(worker.reporter(admitted), keys)
    live(Far(1, 1, 0, 0))
    assert held.asked == 0, "not at once"
    monkeypatch.setattr(module, "ASK_EVERY_S", 0.0)
    live = Live(worker.reporter(admitted), keys)
    held.error = ObjectMissing("no key record")
    live(Far(1, 1, 0, 0))
    held.error = KeyRefused("ended", "the job is over", retryable=False)
    with pytest.raises(KeyRefused):
        live(Far(1, 1, 0, 0))
    assert held.asked == 2
