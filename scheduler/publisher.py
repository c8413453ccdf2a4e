"""The scheduler's way to the broker: Celery for wake-ups, plain lists for letters, one key for its status."""

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from config.broker import BrokerSettings
from config.queues import JOB_OVER, over_key, queue_of_task, station, status_key
from crypto.registry import SCHEDULER
from scheduler.lifecycle import TICKET_LIFETIME_MS
from workers.lists import BrokerUnreachable, Lists
from workers.task import send

STATUS_LIFE_S = 60


class BrokerPublisher(Lists):
    """A `scheduler.parts.Publisher` over a real broker. Not to be shared between processes.

    Args:
        app: of the scheduler's role.
        broker_url: with the scheduler's user and password.
        broker: how TLS is done.
    """

    def __init__(self, app: Celery, broker_url: str, broker: BrokerSettings) -> None:
        super().__init__(broker_url, broker)
        self._app = app

    def wake(self, task: str, ticket: str, spec: str, expires_s: float, host: str) -> None:
        """See `Publisher`."""
        self._send(task, ticket, spec, expires_s=expires_s, queue=station(queue_of_task(task), host))

    def end_tickets(self, job: bytes, signed: str) -> None:
        """See `Publisher`; workers may look for as long as the job's last ticket is good."""
        self._send(JOB_OVER, signed)
        self._set(over_key(job), signed, TICKET_LIFETIME_MS // 1000, "the end of a job")

    def _send(self, task: str, *args: str, expires_s: float | None = None, queue: str | None = None) -> None:
        try:
            send(self._app, task, *args, expires_s=expires_s, queue=queue)
        except OperationalError as error:
            raise BrokerUnreachable(
                f"a wake-up could not be put on the message broker: {type(error.__cause__ or error).__name__}",
                remedy="check that the message broker is up",
            ) from error

    def publish_status(self, status: bytes) -> None:
        """See `Publisher`; a status that is older than STATUS_LIFE_S is gone."""
        self._set(status_key(SCHEDULER), status, STATUS_LIFE_S, "the status")

    def _set(self, key: str, value: str | bytes, life_s: int, what: str) -> None:
        try:
            self._redis.set(key, value, ex=life_s)
        except RedisError as error:
            raise BrokerUnreachable(
                f"{what} could not be put on the message broker: {type(error).__name__}",
                remedy="check that the message broker is up",
            ) from error
