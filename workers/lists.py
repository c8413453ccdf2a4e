"""The lists beside the queues: answers of the key-broker, letters to a client. Plain Valkey commands, no Celery."""

from collections.abc import Sequence
from typing import NamedTuple

import redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from config.broker import BrokerSettings, redis_arguments
from config.celery_settings import CONNECT_TIMEOUT_S, SOCKET_TIMEOUT_S
from config.errors import StrongroomError
from config.queues import HERE, LEFT, notes_list, over_key, taken_key
from workers.tls import VerifiedConnection

LETTER_LIFE_MS = 60 * 60 * 1000
"""How long a letter waits for its reader."""


class BrokerUnreachable(StrongroomError):
    """Valkey does not answer, or refuses the command."""


class Followed(NamedTuple):
    """What is said of a restore.

    Attributes:
        over: the scheduler's signed word that it has ended, or b"".
        here, left: whether its requester follows it, or has said that it does no more.
        taken: how many parcels of each segment that was asked about.
    """

    over: bytes
    here: bool
    left: bool
    taken: list[int]


class Lists:
    """One connection pool to the broker's lists; safe to share between threads, not between processes.

    Args:
        broker_url: of the role, as Celery has it.
        broker: how TLS is done; not needed for a socket.

    Raises:
        ConfigError: the broker's TLS files cannot be read.
    """

    def __init__(self, broker_url: str, broker: BrokerSettings | None = None) -> None:
        url, tls = redis_arguments(broker or BrokerSettings(), broker_url)
        self._redis = redis.Redis.from_url(
            url,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_timeout=SOCKET_TIMEOUT_S,
            health_check_interval=SOCKET_TIMEOUT_S,
            **tls,
            **({"connection_class": VerifiedConnection} if tls else {}),
        )

    def push_letter(self, job: bytes, letter: bytes) -> None:
        """Append a letter to the list of a job's requester.

        Raises:
            BrokerUnreachable: it could not be delivered.
        """
        name = notes_list(job)
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.rpush(name, letter)
                pipe.pexpire(name, LETTER_LIFE_MS)
                pipe.execute()
        except RedisError as error:
            raise _unreachable(error) from error

    def over(self, job: bytes) -> bytes:
        """The scheduler's signed word that a job has ended, or b"".

        Raises:
            BrokerUnreachable: it cannot be read.
        """
        try:
            found = self._redis.get(over_key(job))
        except RedisError as error:
            raise _unreachable(error) from error
        return found if isinstance(found, bytes) else b""

    def followed(self, job: bytes, segments: Sequence[int]) -> Followed:
        """What scheduler and requester say of a restore, in one round trip.

        Raises:
            BrokerUnreachable: it cannot be read.
        """
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.get(over_key(job))
                pipe.hmget(taken_key(job), [HERE, *map(str, segments)])
                over, (here, *taken) = pipe.execute()
        except RedisError as error:
            raise _unreachable(error) from error
        left = here == LEFT
        counts = [int(count) if count is not None and count.isdigit() else 0 for count in taken]
        return Followed(over or b"", here is not None and not left, left, counts)

    def wait(self, name: str, timeout_s: float) -> bytes | None:
        """The next element of a list, or None when none came in time.

        Raises:
            BrokerUnreachable: the broker went away.
        """
        try:
            found = self._redis.blpop([name], timeout=timeout_s)
        except RedisError as error:
            raise _unreachable(error) from error
        if found is None:
            return None
        element = found[1]
        return element if isinstance(element, bytes) else element.encode()

    def close(self) -> None:
        """Close all connections."""
        self._redis.close()


def _unreachable(error: RedisError) -> BrokerUnreachable:
    what = (
        "does not answer" if isinstance(error, RedisConnectionError) else f"refuses: {type(error).__name__}"
    )
    return BrokerUnreachable(f"the message broker {what}", remedy="see `strongroom status`")
