"""The command's two ways to the broker: waking the scheduler, and waiting on a list of its own."""

from collections.abc import Iterable
from importlib import import_module
from ssl import SSLCertVerificationError
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError
from redis.retry import Retry

from client.errors import BrokerUnreachable
from config import queues
from config.broker import redis_arguments
from config.celery_settings import CONNECT_TIMEOUT_S, SOCKET_TIMEOUT_S, celery_settings
from config.settings import Settings
from crypto import canonical
from crypto.signing import Signed

MAX_STATUS_BYTES = 64 * 1024
_REFUSALS = ("NOPERM", "WRONGPASS")
_REMEDY = "see `strongroom status`, or the broker's url in config.toml"


class Mailbox:
    """Lists and keys of the broker that the client's user may read.

    Args:
        broker_url: with the client's user and password.
        settings: say how TLS is done.

    Raises:
        ConfigError: the broker's TLS files cannot be read.
    """

    def __init__(self, broker_url: str, settings: Settings) -> None:
        url, tls = redis_arguments(settings.broker, broker_url)
        self._redis: Any = redis.Redis.from_url(
            url,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_timeout=SOCKET_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),  # who waits for a job has a patience of their own
            **tls,
        )

    def wait(self, job: bytes, timeout_s: float) -> bytes | None:
        """The next letter of a job, or None when none came in time.

        Raises:
            BrokerUnreachable: the broker went away; the next call connects again.
        """
        try:
            found = self._redis.blpop([queues.notes_list(job)], timeout=timeout_s)
        except RedisError as error:
            raise _unreachable(error) from error
        return None if found is None else _as_bytes(found[1])

    def status(self, role: str) -> bytes:
        """What a role says about itself, JSON; empty when it has said nothing lately.

        Raises:
            BrokerUnreachable: the broker does not answer.
        """
        try:
            found = self._redis.get(queues.status_key(role))
        except RedisError as error:
            raise _unreachable(error) from error
        return _as_bytes(found)[:MAX_STATUS_BYTES] if found else b""

    def waiting(self, hosts: Iterable[str] = ()) -> dict[str, int]:
        """How many messages wait in each queue, also in those of `hosts`.

        Raises:
            BrokerUnreachable: the broker does not answer.
        """
        own = [
            queues.work_queue(role, host) for host in sorted(hosts) for role in sorted(queues.HOSTED_ROLES)
        ]
        try:
            return {queue: int(self._redis.llen(queue)) for queue in (*queues.QUEUES, *own)}
        except RedisError as error:
            raise _unreachable(error) from error

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()


class _Unanswered:
    """Stands for the result that no task has: Celery's own class would look for result backends in every package."""

    def __init__(self, task_id: str) -> None:
        self.id = task_id
        self.ignored = True


class Publisher:
    """Sends signed requests to the scheduler's queue, as any Celery client may (docs/task-submission.md)."""

    def __init__(self, broker_url: str, settings: Settings) -> None:
        # Celery is a fifth of a second to import: only a command that submits something pays for it.
        celery, kombu = import_module("celery"), import_module("kombu")

        values = celery_settings(queues.CLIENT, settings, broker_url)
        exchange = kombu.Exchange("", type="direct", no_declare=True)
        queue = kombu.Queue(
            queues.SCHEDULER_QUEUE, exchange, routing_key=queues.SCHEDULER_QUEUE, no_declare=True
        )
        self._operational_error: type[Exception] = kombu.exceptions.OperationalError
        self._app = celery.Celery("strongroom.client", set_as_current=False)
        self._app.conf.update(values, task_queues=[queue])
        # A connection of our own: Celery's would prefer CELERY_BROKER_URL of the environment.
        self._connection = kombu.Connection(
            broker_url,
            ssl=values.get("broker_use_ssl", False),
            connect_timeout=CONNECT_TIMEOUT_S,
            transport_options=values["broker_transport_options"],
        )

    def submit(self, request: Signed) -> None:
        """Wake the scheduler with a request.

        Raises:
            BrokerUnreachable: the broker does not take it.
        """
        try:
            self._app.send_task(
                queues.SUBMIT,
                args=[canonical.to_text(canonical.encode(request))],
                queue=queues.SCHEDULER_QUEUE,
                connection=self._connection,
                argsrepr="sealed",
                kwargsrepr="{}",
                ignore_result=True,
                result_cls=_Unanswered,
                add_to_parent=False,
                retry=False,
            )
        except (RedisError, OSError, self._operational_error) as error:
            raise _unreachable(error) from error

    def close(self) -> None:
        """Close the connection."""
        self._connection.release()


def warm_up() -> None:
    """Import what submitting needs, which takes a while; to be done while something else is waited for."""
    for name in ("celery.app.amqp", "celery.app.base", "kombu.transport.redis"):
        import_module(name)


def _as_bytes(element: bytes | str) -> bytes:
    return element if isinstance(element, bytes) else element.encode()


def _tls_trouble(error: BaseException | None) -> str | None:
    """Why the broker was not believed, or None when that is not what went wrong."""
    while error is not None:
        if isinstance(error, SSLCertVerificationError):
            return f"certificate verify failed: {error.verify_message}"
        error = error.__cause__ or error.__context__
    return None


def _unreachable(error: Exception) -> BrokerUnreachable:
    if (why := _tls_trouble(error)) is not None:
        return BrokerUnreachable(
            f"no TLS with the message broker: {why}",
            remedy="check broker.ca_file, and that the broker's certificate names the host in broker.url",
        )
    refused = isinstance(error, AuthenticationError) or any(word in str(error) for word in _REFUSALS)
    what = "refuses this client" if refused else "does not answer"
    return BrokerUnreachable(f"the message broker {what} ({type(error).__name__})", remedy=_REMEDY)
