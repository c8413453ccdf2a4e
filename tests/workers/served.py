"""What a role that is run serves, without serving it."""

from typing import Any, Protocol

import pytest

from config.home import Home
from config.queues import TASKS, queue_of_task
from config.settings import Settings
from workers.app import SealedApp
from workers.duty import Duties
from workers.role import RoleContext


class Tasks(Protocol):
    """A role's module of tasks."""

    def run(self, context: RoleContext) -> None:
        """Be that role."""
        ...


def require_serves_its_queue(
    role: str, tasks: Tasks, processes: int, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every task of the role's queue and no other, in so many processes of which each has keys of its own."""
    added: list[str] = []
    served: list[tuple[SealedApp, tuple[Any, ...], dict[str, Any]]] = []
    monkeypatch.setattr(Duties, "add", lambda _, name, *__: added.append(name))
    monkeypatch.setattr(tasks, "serve", lambda app, *rest, **named: served.append((app, rest, named)))
    url = f"redis+socket://{role}:x@/nonexistent.sock?virtual_host=0"
    tasks.run(RoleContext(role, home, Settings(), url, lambda: None, one_shot=True))
    assert sorted(added) == sorted(task for task in TASKS if queue_of_task(task) == role)
    ((app, (served_role, pool, served_processes, _), hooks),) = served
    assert (served_role, pool, served_processes) == (role, "prefork", processes)
    assert app.conf.task_default_queue == role
    assert set(hooks) == {"on_process_start", "on_process_stop"}, "keys are made after the fork, and wiped"
