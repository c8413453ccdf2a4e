"""A role's sign of life over the broker, for people: `strongroom status` and commands that wait read how old it is.

A hint and nothing more. Nobody decides by it who is trusted with what, or which job runs where.
"""

import logging
from typing import Final

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from config.broker import BrokerSettings, redis_arguments
from config.celery_settings import CONNECT_TIMEOUT_S
from config.queues import SIGN_LIFE_S, sign_key

logger = logging.getLogger(__name__)

TIMEOUT_S: Final = 5.0
"""The role serves nobody while it gives a sign."""


class Sign:
    """What a role leaves on the broker while it is connected to it. Not to be shared between processes.

    Args:
        station: of the role; its broker user may write this one key.
        broker_url: of the role.
        broker: how TLS is done.

    Raises:
        ConfigError: the broker's TLS files cannot be read.
    """

    def __init__(self, station: str, broker_url: str, broker: BrokerSettings) -> None:
        url, tls = redis_arguments(broker, broker_url)
        self._key = sign_key(station)
        self._redis = redis.Redis.from_url(
            url,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 1),
            **tls,
        )
        self._trouble = ""

    def give(self) -> None:
        """Say that the role lives. That it cannot be said is logged once, and stops nobody."""
        try:
            self._redis.set(self._key, b"", ex=SIGN_LIFE_S)
            self._trouble = ""
        except (RedisError, OSError) as error:
            trouble = type(error).__name__
            if trouble != self._trouble:
                logger.warning("no sign of life on the broker: %s", trouble)
            self._trouble = trouble
