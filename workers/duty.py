"""The way every task of a job goes: admit, act, report. The role modules give the acts."""

import logging
from collections.abc import Callable

from celery import Celery

from config.errors import StrongroomError
from workers.admission import Job, admit
from workers.keys import Send
from workers.process import Process
from workers.reporting import Reporter
from workers.task import SealedTask, send

logger = logging.getLogger(__name__)

Act = Callable[[Job, Reporter, tuple[int | str, ...]], None]


class Duties:
    """Gives an application the tasks of a role.

    Args:
        app: of the role.
        process: started in each pool process before its first task.
    """

    def __init__(self, app: Celery, process: Process) -> None:
        self._app = app
        self._process = process

    def send(self, task: str, *args: str | int, expires_s: float | None = None) -> None:
        """Wake a role, from inside a task."""
        send(self._app, task, *args, expires_s=expires_s)

    def add(self, name: str, act: Act) -> None:
        """Register the task `name`: its message brings a ticket, a spec, and what else `act` takes.

        A message that is not admitted ends in the log: it is nobody's job, so there is nobody to tell.
        """

        def perform(task: SealedTask, ticket: str, spec: str, *rest: int | str) -> None:
            try:
                job = admit(self._process, ticket, spec)
            except StrongroomError as error:
                logger.warning("refused a message for %s: %s: %s", name, type(error).__name__, error.message)
                return
            reporter = Reporter(self._process, job, self.send, task.show_progress)
            with reporter.ending_well():
                act(job, reporter, rest)

        self._app.task(name=name, bind=True)(perform)


__all__ = ["Act", "Duties", "Send"]
