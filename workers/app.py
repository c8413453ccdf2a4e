"""The Celery application of one role: made by a function, never at import, never the current app."""

import socket
from collections.abc import Callable
from typing import Any, Final

from celery import Celery
from kombu.entity import Exchange, Queue

from config.celery_settings import celery_settings
from config.queues import HOSTED_ROLES, MONITOR, QUEUES, work_queue
from config.settings import Settings
from workers.broker import ListeningAMQP, SilentControl, StrictAMQP
from workers.role import RoleContext

EMBEDDED_NODE: Final = "strongroom"


class SealedApp(Celery):
    """A Celery application that connects to the broker of its settings and nowhere else.

    Celery prefers CELERY_BROKER_URL of the environment, which may be there for somebody else's application.
    """

    node = EMBEDDED_NODE
    """What the worker is called in the monitor, after its role."""
    pulse: Callable[[], None] | None = None
    """Called every now and then while connected."""

    def connection(self, url: str | None = None, **kwargs: Any) -> Any:
        """As Celery's."""
        return self._connection(url or self.conf["broker_url"], **kwargs)

    def connection_for_read(self, url: str | None = None, **kwargs: Any) -> Any:
        """As Celery's."""
        return self._connection(url or self.conf["broker_url"], **kwargs)

    def connection_for_write(self, url: str | None = None, **kwargs: Any) -> Any:
        """As Celery's."""
        return self._connection(url or self.conf["broker_url"], **kwargs)


def queue_named(name: str) -> Queue:
    """A queue that is never declared.

    Declaring writes `_kombu.binding.*`, which nobody is allowed to, and which the anonymous exchange does not read.
    """
    exchange = Exchange("", type="direct", no_declare=True)  # type: ignore[no-untyped-call]
    return Queue(name, exchange, routing_key=name, no_declare=True)  # type: ignore[no-untyped-call]


def make_app(role: str, settings: Settings, broker_url: str, host: str = "") -> SealedApp:
    """The application of one role, hardened; it has no tasks yet and is not connected.

    Args:
        role: one of the roles in `config.queues`.
        settings: of the installation.
        broker_url: with the user and password of that role.
        host: of a worker that works for its own host only.

    Raises:
        ConfigError: the broker's TLS files cannot be read.
    """
    # The monitor consumes events, which are no tasks.
    amqp, control = (ListeningAMQP, SilentControl) if role == MONITOR else (StrictAMQP, None)
    app = SealedApp(
        f"strongroom.{role}",
        amqp=amqp,
        control=control,
        task_cls="workers.task:SealedTask",
        set_as_current=False,
    )
    app.conf.update(celery_settings(role, settings, broker_url, host))
    own = {work_queue(role, host)} if role in HOSTED_ROLES else set()
    app.conf.update(
        worker_consumer="workers.consumer:StrictConsumer",
        task_queues=[queue_named(name) for name in sorted({*QUEUES, *own})],
    )
    if settings.broker.url:
        app.node = settings.workers.node or socket.gethostname()
    return app


def app_for(context: RoleContext) -> SealedApp:
    """The application of the role that `context` describes; errors as for `make_app`."""
    app = make_app(context.role, context.settings, context.broker_url, context.host)
    app.pulse = context.pulse
    return app
