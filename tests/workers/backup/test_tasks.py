"""The backup role serves every task of its queue, in processes of which each has keys of its own."""

from typing import Any

import pytest

from config.home import Home
from config.queues import BACKUP, TASKS, queue_of_task
from config.settings import Settings
from workers.app import SealedApp
from workers.backup import tasks
from workers.duty import Duties
from workers.role import RoleContext


def test_every_task_of_its_queue_is_served_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[str] = []
    served: list[tuple[SealedApp, tuple[Any, ...], dict[str, Any]]] = []
    monkeypatch.setattr(Duties, "add", lambda _, name, *__: added.append(name))
    monkeypatch.setattr(tasks, "serve", lambda app, *rest, **named: served.append((app, rest, named)))
    home = Home(tmp_path_factory.mktemp("home"))
    url = "redis+socket://backup:x@/nonexistent.sock?virtual_host=0"
    settings = Settings()
    tasks.run(RoleContext(BACKUP, home, settings, url, lambda: None, one_shot=True))
    assert sorted(added) == sorted(task for task in TASKS if queue_of_task(task) == BACKUP)
    ((app, (role, pool, processes, _), hooks),) = served
    assert (role, pool, processes) == (BACKUP, "prefork", settings.workers.backup)
    assert app.conf.task_default_queue == BACKUP
    assert set(hooks) == {"on_process_start", "on_process_stop"}, "keys are made after the fork, and wiped"
