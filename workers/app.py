"""The Celery application of one role: made by a function, never at import, never the current app."""

from typing import Any

from celery import Celery
from celery.app.amqp import AMQP
from kombu.entity import Exchange, Queue

from config.celery_settings import celery_settings
from config.queues import QUEUE_OF_ROLE, QUEUES
from config.settings import Settings
from workers.broker import StrictAMQP


class SealedApp(Celery):
    """A Celery application that connects to the broker of its settings and nowhere else.

    Celery prefers CELERY_BROKER_URL of the environment, which may be there for somebody else's application.
    """

    def connection(self, url: str | None = None, **kwargs: Any) -> Any:
        """As Celery's."""
        return self._connection(url or self.conf["broker_url"], **kwargs)

    def connection_for_read(self, url: str | None = None, **kwargs: Any) -> Any:
        """As Celery's."""
        return self._connection(url or self.conf["broker_url"], **kwargs)

    def connection_for_write(self, url: str | None = None, **kwargs: Any) -> Any:
        """As Celery's."""
        return self._connection(url or self.conf["broker_url"], **kwargs)


def make_app(role: str, settings: Settings, broker_url: str) -> Celery:
    """The application of one role, hardened; it has no tasks yet and is not connected.

    Args:
        role: one of the roles in `config.queues`.
        settings: of the installation.
        broker_url: with the user and password of that role.
    """
    # The monitor consumes events, which are no tasks; who consumes nothing checks nothing.
    amqp = StrictAMQP if role in QUEUE_OF_ROLE else AMQP
    app = SealedApp(f"strongroom.{role}", amqp=amqp, task_cls="workers.task:SealedTask", set_as_current=False)
    app.conf.update(celery_settings(role, settings, broker_url))
    app.conf.update(
        worker_consumer="workers.consumer:StrictConsumer",
        # Never declared: declaring writes `_kombu.binding.*`, which nobody is allowed to, and which the
        # anonymous exchange does not read.
        task_queues=[
            Queue(name, Exchange("", type="direct", no_declare=True), routing_key=name, no_declare=True)  # type: ignore[no-untyped-call]
            for name in QUEUES
        ],
    )
    return app
