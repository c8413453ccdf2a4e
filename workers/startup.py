"""What a role by itself needs before it is ready, looked at once where a person sees it: in its first process.

Later the same errors would come in pool processes, whose errors are cut down, and in Celery's endless attempts.
"""

from typing import Final

import redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError
from redis.retry import Retry

from config.broker import redis_arguments
from config.broker_trouble import NO_LOGIN, Trouble, tls_trouble
from config.celery_settings import CONNECT_TIMEOUT_S
from config.errors import StrongroomError
from config.queues import QUEUE_OF_ROLE
from workers.process import RegistryFile, load_identity
from workers.role import RoleContext
from workers.sign import TIMEOUT_S

_MORE_TRIES: Final = 2
"""A broker that does not like a certificate says so and hangs up, and may hang up before it was heard."""


class NotLetIn(StrongroomError):
    """The broker is there and does not let the role in, or is not the one that the settings name."""


def require_start(context: RoleContext) -> None:
    """Refuse a start that cannot come to anything. A broker that is away is waited for elsewhere.

    Raises:
        ConfigError, Malformed: no identity or no registry, or one that is damaged.
        NotLetIn: the broker refuses the role, or is not believed.
    """
    if context.role in QUEUE_OF_ROLE:
        load_identity(context.home, context.role)
        RegistryFile(context.home.registry_file).current()
    if (trouble := _trouble_with_broker(context)) is not None:
        raise NotLetIn(trouble.message, remedy=trouble.remedy)


def _trouble_with_broker(context: RoleContext) -> Trouble | None:
    url, tls = redis_arguments(context.settings.broker, context.broker_url)
    limits = {"socket_connect_timeout": CONNECT_TIMEOUT_S, "socket_timeout": TIMEOUT_S}
    with redis.Redis.from_url(url, retry=Retry(NoBackoff(), _MORE_TRIES), **limits, **tls) as connection:
        try:
            connection.ping()
        except AuthenticationError:
            return NO_LOGIN
        except (RedisError, OSError) as error:
            return tls_trouble(error)
    return None
