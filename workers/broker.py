"""kombu's Redis transport with a door-keeper: what is not a message never reaches kombu's own code.

kombu takes a frame apart while it reads the socket, and an error there ends the worker. A frame that is
refused here has left the list and was not yet noted as received: it is gone, which is all that it deserves.
"""

import logging
from queue import Empty
from typing import Any

from celery.app.amqp import AMQP
from kombu.connection import Connection
from kombu.transport import redis

from workers.messages import Malformed, check_frame

logger = logging.getLogger(__name__)


class StrictQoS(redis.QoS):
    """The messages that a role has received and not acknowledged, of which there may be only so many.

    kombu goes on counting a message whose acknowledgement did not arrive. A role that is working on as many as it may
    have when the broker dies would wait for ever: it reads nothing, so it does not notice that its connection is gone.
    What the broker still has of such a message is delivered again, and is harmless.
    """

    def ack(self, delivery_tag: str) -> None:
        """As kombu's."""
        try:
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]
        except BaseException:
            self._quick_ack(delivery_tag)
            raise

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """As kombu's."""
        try:
            super().reject(delivery_tag, requeue=requeue)  # type: ignore[no-untyped-call]
        except BaseException:
            self._quick_ack(delivery_tag)
            raise


class StrictChannel(redis.Channel):
    """A channel that survives a list item which is no JSON, and a frame that is no message."""

    QoS = StrictQoS

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        except (Malformed, ValueError, RecursionError) as error:
            # Broken JSON and broken UTF-8 are ValueErrors; deep JSON is a RecursionError.
            logger.warning("refused a message: %s", _reason(error))
        raise Empty


class StrictTransport(redis.Transport):
    """A transport that checks every frame before it is delivered."""

    Channel = StrictChannel

    def _deliver(self, message: Any, queue: str) -> None:
        check_frame(message, queue)
        super()._deliver(message, queue)  # type: ignore[no-untyped-call]


class StrictConnection(Connection):
    """A connection that uses `StrictTransport` whatever its URL says."""

    def get_transport_cls(self) -> type[StrictTransport]:
        """The one transport there is."""
        return StrictTransport


class StrictAMQP(AMQP):
    """Celery's message layer over `StrictConnection`."""

    Connection = StrictConnection


def _reason(error: Exception) -> str:
    return error.message if isinstance(error, Malformed) else "it is not JSON"
