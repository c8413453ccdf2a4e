"""The backup role serves every task of its queue, in processes of which each has keys of its own."""

from pathlib import Path

import pytest

from config.home import Home
from config.queues import BACKUP
from config.settings import Settings
from tests.workers.served import require_serves_its_queue
from workers.backup import tasks


def test_every_task_of_its_queue_is_served_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_serves_its_queue(BACKUP, tasks, Settings().workers.backup, Home(tmp_path), monkeypatch)
