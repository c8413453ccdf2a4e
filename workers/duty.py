"""The way every task of a job goes: admit, act, report. The role modules give the acts."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress

from celery import Celery

from config.errors import StrongroomError
from crypto.job import Spec
from workers.admission import Job, Stray, admit, require_not_over
from workers.keys import Send
from workers.lists import BrokerUnreachable
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

    def add(self, name: str, about: type[Spec], act: Act, *more: type[int] | type[str]) -> None:
        """Register the task `name`: its message brings a ticket, a spec, and one argument of each type in `more`.

        The ticket is good for a spec, not for a task: `about` says which specs are for this one. A message that is
        not admitted, whose job is over, or that strays from the plan of its job, is refused in the log: there is nobody
        to tell.
        """
        expected = (str, str, *more)

        def perform(task: SealedTask, *arguments: int | str) -> None:
            try:
                if tuple(map(type, arguments)) != expected:
                    raise Stray("it has other arguments than this task takes")
                ticket, spec, *rest = arguments
                job = admit(self._process, str(ticket), str(spec))
                if not isinstance(job.spec, about):
                    raise Stray("its ticket is for a job of another kind")
                # Not for the key-broker to see: it is not asked while the vault's key is in the cache.
                with suppress(BrokerUnreachable):
                    require_not_over(self._process, job, self._process.lists.over(job.id))
            except StrongroomError as error:
                _refuse(name, error)
                return
            reporter = Reporter(self._process, job, self.send, task.show_progress)
            begun = time.monotonic()
            try:
                with reporter.ending_well():
                    act(job, reporter, tuple(rest))
                logger.info("%s %s of job %s: %.3f s", name, rest, job.id.hex(), time.monotonic() - begun)
            except Stray as error:
                _refuse(name, error)

        self._app.task(name=name, bind=True)(perform)


def _refuse(name: str, error: StrongroomError) -> None:
    logger.warning("refused a message for %s: %s: %s", name, type(error).__name__, error.message)


__all__ = ["Act", "Duties", "Send"]
