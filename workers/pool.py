"""Celery's prefork pool, without the waits that it has when nothing is left to do."""

import os
import sys
from typing import Any, NoReturn

from celery.concurrency.prefork import TaskPool
from celery.worker import state


class PromptPool(TaskPool):
    """A prefork pool that stops at once when no task runs."""

    _pool: Any

    def on_stop(self) -> None:
        """Stop the pool's processes, and wait for them.

        While tasks finish, Celery fires timers in a thread, which it then waits half a second for.
        """
        if self._pool is None or state.active_requests:
            super().on_stop()
            return
        self._pool.close()
        self._pool.join()
        self._pool = None


def leave(exitcode: int) -> NoReturn:
    """End this pool process, after everything that it had to say is in the pipe to its parent.

    billiard would announce the end and sleep for a second, so that a parent that polls hears of it before; ours waits
    for the process itself.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exitcode)
