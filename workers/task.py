"""The base of every task, and the one way to send one.

Nothing that a task raises, returns or is called with reaches a log line, an event or Flower: the arguments
show as "sealed", the result as None, an error as the name of its class.
"""

import logging
from typing import Any

from celery import Celery, Task
from celery.exceptions import Ignore, Reject
from celery.worker.request import Request

from config.errors import StrongroomError
from config.queues import queue_seen_from
from workers.app import queue_named
from workers.redact import frames_only, sealed_options

logger = logging.getLogger(__name__)


class TaskFailed(StrongroomError):
    """A task ended with an error, of which only the class is told; the ledger's lease does the rest."""


class StrictRequest(Request):
    """A received task that is put back at most once.

    A task that kills its process would otherwise come back for ever (notes 1.1); the scheduler's reaper
    wakes the job again, with a count.
    """

    def reject(self, requeue: bool = False) -> None:
        """Reject the message, putting it back only if it was not put back before."""
        super().reject(requeue=requeue and not self.request_dict.get("redelivered"))


class SealedTask(Task):
    """The base class of all tasks."""

    abstract = True
    Request = "workers.task:StrictRequest"
    ignore_result = True
    store_errors_even_if_ignored = False
    max_retries = 0
    resultrepr_maxsize = 64

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Run the task.

        Raises:
            TaskFailed: instead of whatever the task raised, without its text.
        """
        try:
            super().__call__(*args, **kwargs)
        except (Ignore, Reject):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, its text must not get out
            logger.warning("task %s failed: %s", self.name, frames_only(error))
            raise TaskFailed(type(error).__name__) from None

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """As Celery's, with the arguments' text replaced.

        Raises:
            TypeError: named arguments, which no role takes.
        """
        if kwargs:
            raise TypeError("tasks take no named arguments")
        return super().apply_async(args, None, **(options | sealed_options()))

    def show_progress(self, text: str) -> None:
        """Show `text` in Flower while the task runs, if anybody looks; it may hold counts and sizes, nothing else."""
        if self.app.conf.worker_send_task_events:
            self.send_event("task-progress", result=text)


def send(
    app: Celery, task: str, *args: str | int, expires_s: float | None = None, queue: str | None = None
) -> None:
    """Wake a role: put a call of `task` into the queue that its name belongs to, or into another of that role.

    Args:
        app: from `workers.app.make_app`.
        task: a task name of `config.queues`.
        args: opaque ids and sealed bytes as text, numbers.
        expires_s: seconds after which nobody needs to start it any more.
        queue: of one host; by default the sender's own for a step of its own role.

    Raises:
        kombu.exceptions.OperationalError: the broker cannot be reached.
    """
    name = queue or queue_seen_from(app.conf.task_default_queue, task)
    app.send_task(task, args=args, queue=queue_named(name), expires=expires_s, **sealed_options())
