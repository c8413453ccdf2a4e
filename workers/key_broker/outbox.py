"""What the key-broker says on the message broker: answers on their lists, and how it is."""

from __future__ import annotations

from redis.exceptions import RedisError

from config.queues import status_key
from crypto.registry import KEY_BROKER
from workers.lists import BrokerUnreachable, Lists

ANSWER_LIFE_MS = 60 * 1000
"""An answer waits this long for its reader; then it is worth nothing to anybody."""
STATUS_LIFE_S = 60 * 60


class Outbox(Lists):
    """The key-broker's connection to lists and keys; safe to share between threads, not between processes."""

    def push_answer(self, reply_list: str, reply: bytes) -> None:
        """Put an answer on its list, for ANSWER_LIFE_MS.

        Raises:
            BrokerUnreachable: it could not be delivered; the requester asks again.
        """
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.rpush(reply_list, reply)
                pipe.pexpire(reply_list, ANSWER_LIFE_MS)
                pipe.execute()
        except RedisError as error:
            raise _undelivered("an answer", error) from error

    def publish_status(self, status: bytes) -> None:
        """Leave `status` (JSON) where `strongroom status` finds it, for STATUS_LIFE_S.

        Raises:
            BrokerUnreachable: it could not be left.
        """
        try:
            self._redis.set(status_key(KEY_BROKER), status, ex=STATUS_LIFE_S)
        except RedisError as error:
            raise _undelivered("the status", error) from error


def _undelivered(what: str, error: RedisError) -> BrokerUnreachable:
    return BrokerUnreachable(
        f"{what} could not be put on the message broker: {type(error).__name__}",
        remedy="check that the message broker is up",
    )
