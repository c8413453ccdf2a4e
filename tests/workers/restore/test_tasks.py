"""The restore role serves every task of its queue, in processes of which each has keys of its own."""

from pathlib import Path

import pytest

from config.home import Home
from config.queues import RESTORE
from config.settings import Settings
from tests.workers.served import require_serves_its_queue
from workers.restore import tasks


def test_every_task_of_its_queue_is_served_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_serves_its_queue(RESTORE, tasks, Settings().workers.restore, Home(tmp_path), monkeypatch)
