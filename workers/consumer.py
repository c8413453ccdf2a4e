"""Celery's consumer, with a check first: what is not plainly a call of a known task is rejected.

A rejected message is acknowledged and dropped; the log says why, without what it contained.
"""

import logging
from collections.abc import Callable
from typing import Any

from celery import signals
from celery.exceptions import InvalidTaskError
from celery.worker.consumer import Consumer

from workers.messages import Malformed, clean_headers

logger = logging.getLogger(__name__)


class StrictConsumer(Consumer):
    """A consumer that hands Celery only messages which it has checked, under headers which it has written."""

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """The handler of every message that arrives; see `workers.messages` for what it checks, and refuses."""
        accept = super().create_task_handler(*args, **kwargs)

        def on_message(message: Any) -> None:
            try:
                headers = clean_headers(message.headers, message.body)
                if headers["task"] not in self.strategies:
                    raise Malformed("it names no task of this role")
            except Malformed as error:
                self._refuse(message, error)
            else:
                message.headers = headers
                accept(message)

        on_message.__name__ = "on_task_received"
        return on_message

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Celery found what `workers.messages` did not: reject the message, and do not print its body."""
        self._refuse(message, Malformed(type(exc).__name__))

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """As `on_invalid_task`."""
        self._refuse(message, Malformed(type(exc).__name__))

    def _refuse(self, message: Any, error: Malformed) -> None:
        logger.warning("refused a message: %s", error.message)
        message.reject_log_error(logger, self.connection_errors)
        signals.task_rejected.send(sender=self, message=message, exc=InvalidTaskError(error.message))
