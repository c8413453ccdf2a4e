"""Running one role: what it is given, and the few lines that make a Celery worker or a beat of it."""

import logging
import os
import sys
from collections.abc import Callable
from typing import Any, Literal

import setproctitle
from celery import beat, bootsteps, signals
from celery.apps.worker import Worker

from config.celery_settings import beat_schedule
from config.hardening import die_with_parent
from workers.app import SealedApp
from workers.pool import PromptPool, leave
from workers.pulse import BEAT_S
from workers.redact import frames_only, sealed_options
from workers.role import LOG_FORMAT, RoleContext

logger = logging.getLogger(__name__)

Pool = Literal["solo", "threads", "prefork"]

__all__ = ["Pool", "RoleContext", "configure_logging", "serve", "serve_beat"]

EXIT_UNPREPARED = 78  # EX_CONFIG of sysexits.h


class PulseStep(bootsteps.StartStopStep):
    """Beats while the consumer is connected; a lost connection stops it, the next one starts it again."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **_: Any) -> None:
        super().__init__(consumer)
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        """Connected."""
        self._timer = consumer.timer.call_repeatedly(BEAT_S, consumer.app.pulse)

    def stop(self, consumer: Any) -> None:
        """Not connected any more."""
        if self._timer is not None:
            consumer.timer.cancel(self._timer)
            self._timer = None

    shutdown = stop


class PulsingScheduler(beat.Scheduler):
    """Beat's in-memory scheduler: the ledger remembers, a tick does not. It beats at every look at the clock."""

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        """As Celery's."""
        if self.app.pulse is not None:
            self.app.pulse()
        return super().tick(*args, **kwargs)


class QuietWorker(Worker):
    """A Celery worker that keeps the title which its process has."""

    def set_process_status(self, info: str) -> None:
        """Celery would put the whole command line into the title."""


def serve(
    app: SealedApp,
    role: str,
    pool: Pool,
    concurrency: int,
    on_ready: Callable[[], None],
    *,
    on_process_start: Callable[[], None] | None = None,
    on_process_stop: Callable[[], None] | None = None,
) -> None:
    """Serve the queue of `app` until SIGTERM; returns when the worker has stopped.

    Args:
        app: with the role's tasks; knows the queue.
        role: the worker's name.
        pool: solo (one task at a time in this process), threads, or prefork.
        concurrency: threads or processes.
        on_ready: called when the worker consumes.
        on_process_start: called in each process (prefork: pool process) before its first task; makes keys.
        on_process_stop: called in each process when it stops in order; wipes keys.

    Raises:
        SystemExit: the worker ended otherwise than by SIGTERM.
    """
    configure_logging()
    if app.pulse is not None:
        app.steps["consumer"].add(PulseStep)
    hooks = _connect(role, pool, on_ready, on_process_start, on_process_stop)
    worker = QuietWorker(
        app=app,
        hostname=f"{role}@{app.node}",
        queues=[app.conf.task_default_queue],
        pool=PromptPool if pool == "prefork" else pool,
        concurrency=concurrency,
        without_gossip=True,
        without_mingle=True,
        # Heartbeats are events: only a monitor needs them.
        without_heartbeat=not app.conf.worker_send_task_events,
        task_events=app.conf.worker_send_task_events,
        loglevel="INFO",
        quiet=True,
        no_color=True,
    )
    try:
        worker.start()
    finally:
        # A cold shutdown sends no signal to a worker without pool processes (notes 4).
        if pool != "prefork" and on_process_stop is not None:
            on_process_stop()
        del hooks
    if worker.exitcode:
        sys.exit(worker.exitcode)


def serve_beat(app: SealedApp, on_ready: Callable[[], None]) -> None:
    """Be the metronome until SIGTERM: send `scheduler.tick` every few seconds, remembering nothing.

    Args:
        app: of the role beat.
        on_ready: called when the clock runs.
    """
    configure_logging()
    # Celery would add an entry that cleans a result backend.
    app.conf.update(beat_schedule=beat_schedule(sealed_options()), result_expires=None)

    def announce(**_: Any) -> None:
        on_ready()

    signals.beat_init.connect(announce)
    beat.Service(app, scheduler_cls=PulsingScheduler).start()


def configure_logging() -> None:
    """Log to standard error, which the supervisor has made the role's own file; Celery configures nothing."""
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, stream=sys.stderr, force=True)
    # Celery leaves logging alone when this signal has a receiver.
    signals.setup_logging.connect(_logging_is_configured, weak=False)
    # One line per received and one per finished task would be most of the log and say nothing.
    for name in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _logging_is_configured(**_: Any) -> None:
    return None


def _connect(
    role: str,
    pool: Pool,
    on_ready: Callable[[], None],
    on_start: Callable[[], None] | None,
    on_stop: Callable[[], None] | None,
) -> list[Callable[..., None]]:
    """Connect the callbacks to Celery's signals; they stay connected while the returned list lives."""

    def ready(**_: Any) -> None:
        on_ready()

    def start(**_: Any) -> None:
        setproctitle.setproctitle(f"strongroom: {role}")
        if on_start is None:
            return
        try:
            on_start()
        except Exception as error:  # noqa: BLE001 - Celery would log it and serve without keys
            logger.critical("cannot start: %s", frames_only(error))
            raise SystemExit(EXIT_UNPREPARED) from None

    def stop(*, exitcode: int, **_: Any) -> None:
        if on_stop is not None:
            on_stop()
        leave(exitcode)

    server = os.getpid()

    def start_in_pool(**_: Any) -> None:
        # Celery asks the kernel for the same, but does not look whether its parent has died before.
        die_with_parent(server)
        start()

    signals.worker_ready.connect(ready)
    # threads and solo never send the worker_process_* signals (notes 4).
    if pool == "prefork":
        signals.worker_process_init.connect(start_in_pool)
        signals.worker_process_shutdown.connect(stop)
    else:
        signals.worker_init.connect(start)
    return [ready, start, start_in_pool, stop]
