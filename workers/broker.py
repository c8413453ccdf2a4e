"""kombu's Redis transport with a door-keeper: what is not a message never reaches kombu's own code.

kombu takes a frame apart while it reads the socket, and an error there ends the worker. A frame that is
refused here has left the list and was not yet noted as received: it is gone, which is all that it deserves.
"""

import logging
import time
from queue import Empty
from typing import Any

from celery.app.amqp import AMQP
from celery.app.control import Control
from kombu.connection import Connection, ConnectionPool, PooledConnection
from kombu.transport import redis

from workers.messages import Malformed, check_frame
from workers.tls import VerifiedConnection

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

    def restore_visible(self, start: int = 0, num: int | None = 10, interval: int = 10) -> None:
        """Put back up to `num` messages (all: None) that somebody received long ago and has not acknowledged.

        kombu does it under a lock that takes a Lua script to give back, and looks for them with ZRANGE. Whoever may run
        scripts, or may look at any range of a long set, can stop the server for everybody, so no role may. Each message
        is taken out of the index here, so that no other sweep comes upon it. Who dies at this very point loses a
        wake-up, which the scheduler's reaper sends again.
        """
        due = time.time() - self.visibility_timeout
        with self.channel.conn_or_acquire() as client:
            waiting: int = client.zcount(self.unacked_index_key, "-inf", due)
            for _ in range(waiting if num is None else min(waiting, num)):
                for tag, received in client.zpopmin(self.unacked_index_key):
                    if received > due:  # another sweep has put back what this one counted
                        client.zadd(self.unacked_index_key, {tag: received}, nx=True)
                        return
                    self.restore_by_tag(tag, client)  # type: ignore[no-untyped-call]


class StrictChannel(redis.Channel):
    """A channel that survives a list item which is no JSON, and a frame that is no message."""

    QoS = StrictQoS
    connection_class_ssl = VerifiedConnection

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


class _Pooled(PooledConnection):
    """A connection of a pool, with the transport of the connection that the pool was made for."""

    def get_transport_cls(self) -> type[redis.Transport]:
        transport: type[redis.Transport] = self._pool.connection.get_transport_cls()
        return transport


class _Pool(ConnectionPool):
    """kombu's would make connections of its own, whose transport their URL chooses."""

    def new(self) -> _Pooled:
        settings = self.connection._info(resolve=False)  # noqa: SLF001 - as kombu's own pool
        return _Pooled(self, **dict(settings))  # type: ignore[no-untyped-call]


class StrictConnection(Connection):
    """A connection that uses `StrictTransport` whatever its URL says, as do those of its pool."""

    def get_transport_cls(self) -> type[redis.Transport]:
        """The one transport there is."""
        return StrictTransport

    def Pool(self, limit: int | None = None, **options: Any) -> ConnectionPool:  # noqa: N802 - kombu's name
        """As kombu's."""
        return _Pool(self, limit, **options)  # type: ignore[no-untyped-call]


class StrictAMQP(AMQP):
    """Celery's message layer over `StrictConnection`."""

    Connection = StrictConnection


class ListeningChannel(redis.Channel):
    """A channel of who hears events and says nothing: it leaves nothing on the server, and needs no right to.

    kombu would write down, with Lua scripts, which queues there are and until when. Events go to whoever listens.
    """

    connection_class_ssl = VerifiedConnection

    def _new_queue(self, queue: str, auto_delete: bool = False, **_: Any) -> None:
        pass

    def _size(self, queue: str) -> int:
        return 0

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        self._fanout_queues[queue] = (exchange, routing_key.replace("#", "*"))

    def _delete(self, queue: str, *_: Any, **__: Any) -> None:
        pass


class ListeningTransport(redis.Transport):
    """See `ListeningChannel`."""

    Channel = ListeningChannel


class ListeningConnection(StrictConnection):
    """The same with `ListeningTransport`."""

    def get_transport_cls(self) -> type[redis.Transport]:
        """The one transport there is."""
        return ListeningTransport


class ListeningAMQP(AMQP):
    """Celery's message layer over `ListeningConnection`."""

    Connection = ListeningConnection


class SilentControl(Control):
    """Remote control by who only listens. Celery's receiver of events asks all workers for a sign of life."""

    def broadcast(self, *_: Any, **__: Any) -> None:
        """Ask nobody; our workers take no remote control."""


def _reason(error: Exception) -> str:
    return error.message if isinstance(error, Malformed) else "it is not JSON"
