"""The restore role serves every task of its queue, in processes of which each has keys of its own."""

from typing import Any

import pytest

from config.home import Home
from config.queues import RESTORE, TASKS, queue_of_task
from config.settings import Settings
from workers.app import SealedApp
from workers.duty import Duties
from workers.restore import tasks
from workers.role import RoleContext


def test_every_task_of_its_queue_is_served_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[str] = []
    served: list[tuple[SealedApp, tuple[Any, ...], dict[str, Any]]] = []
    monkeypatch.setattr(Duties, "add", lambda _, name, *__: added.append(name))
    monkeypatch.setattr(tasks, "serve", lambda app, *rest, **named: served.append((app, rest, named)))
    home = Home(tmp_path_factory.mktemp("home"))
    url = "redis+socket://restore:x@/nonexistent.sock?virtual_host=0"
    settings = Settings()
    tasks.run(RoleContext(RESTORE, home, settings, url, lambda: None, one_shot=True))
    assert sorted(added) == sorted(task for task in TASKS if queue_of_task(task) == RESTORE)
    ((app, (role, pool, processes, _), hooks),) = served
    assert (role, pool, processes) == (RESTORE, "prefork", settings.workers.restore)
    assert app.conf.task_default_queue == RESTORE
    assert set(hooks) == {"on_process_start", "on_process_stop"}, "keys are made after the fork, and wiped"
