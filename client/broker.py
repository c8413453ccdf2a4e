"""The command's ways to the broker: waking the scheduler, waiting on a list of its own, saying what it has taken."""

import base64
import json
from collections.abc import Iterable, Mapping
from uuid import uuid4

from client.errors import BrokerUnreachable
from client.wire import Refused, Wire, WireError
from config import queues
from config.broker_trouble import NO_LOGIN, NO_RIGHT, Trouble, tls_trouble
from config.celery_settings import CONNECT_TIMEOUT_S, SOCKET_TIMEOUT_S
from config.settings import Settings
from crypto import canonical
from crypto.signing import Signed

MAX_STATUS_BYTES = 64 * 1024
_NO_LOGIN = ("NOAUTH", "WRONGPASS")
_REMEDY = "see whether it runs, and whether broker.url in config.toml names it"


class Mailbox:
    """Lists and keys of the broker that the client's user may read.

    Args:
        broker_url: with the client's user and password.
        settings: say how TLS is done.

    Raises:
        ConfigError: the broker's TLS files cannot be read.
    """

    def __init__(self, broker_url: str, settings: Settings) -> None:
        self._wire = _wire(broker_url, settings)

    def wait(self, job: bytes, timeout_s: float) -> bytes | None:
        """The next letter of a job, or None when none came in time.

        Raises:
            BrokerUnreachable: the broker went away; the next call connects again.
        """
        name = queues.notes_list(job)
        try:
            if timeout_s > 0:
                found = self._wire.call("BLPOP", name, timeout_s, wait_s=timeout_s)
            else:
                found = [self._wire.call("LPOP", name)]  # to BLPOP, no time is for ever
        except (OSError, WireError) as error:
            raise _unreachable(error) from error
        # The name of the list, and its element.
        letter = found[-1] if isinstance(found, list) and found else None
        return letter if isinstance(letter, bytes) else None

    def status(self, role: str) -> bytes:
        """What a role says about itself, JSON; empty when it has said nothing lately.

        Raises:
            BrokerUnreachable: the broker does not answer.
        """
        try:
            found = self._wire.call("GET", queues.status_key(role))
        except (OSError, WireError) as error:
            raise _unreachable(error) from error
        return found[:MAX_STATUS_BYTES] if isinstance(found, bytes) else b""

    def seen(self, stations: Iterable[str]) -> dict[str, float | None]:
        """How many seconds ago, by the broker's clock, each station gave its last sign of life; None: it gave none.

        Raises:
            BrokerUnreachable: the broker does not answer.
        """
        ages: dict[str, float | None] = {}
        try:
            for station in stations:
                left_ms = self._wire.call("PTTL", queues.sign_key(station))
                ages[station] = None
                if isinstance(left_ms, int) and left_ms >= 0:
                    ages[station] = queues.SIGN_LIFE_S - left_ms / 1000
        except (OSError, WireError) as error:
            raise _unreachable(error) from error
        return ages

    def waiting(self, hosts: Iterable[str] = ()) -> dict[str, int]:
        """How many messages wait in each queue, also in those of `hosts`.

        Raises:
            BrokerUnreachable: the broker does not answer.
        """
        own = [
            queues.work_queue(role, host) for host in sorted(hosts) for role in sorted(queues.HOSTED_ROLES)
        ]
        lengths = {}
        try:
            for queue in (*queues.QUEUES, *own):
                found = self._wire.call("LLEN", queue)
                lengths[queue] = found if isinstance(found, int) else 0
        except (OSError, WireError) as error:
            raise _unreachable(error) from error
        return lengths

    def close(self) -> None:
        """Close the connection."""
        self._wire.close()


class Publisher:
    """Sends signed requests to the scheduler's queue, as any Celery client may (docs/task-submission.md).

    Args, Raises: as `Mailbox`.
    """

    def __init__(self, broker_url: str, settings: Settings) -> None:
        self._wire = _wire(broker_url, settings)

    def submit(self, request: Signed) -> None:
        """Wake the scheduler with a request.

        Raises:
            BrokerUnreachable: the broker does not take it.
        """
        argument = canonical.to_text(canonical.encode(request))
        message = task_message(queues.SUBMIT, [argument], queues.SCHEDULER_QUEUE)
        try:
            self._wire.call("LPUSH", queues.SCHEDULER_QUEUE, message)
        except (OSError, WireError) as error:
            raise _unreachable(error) from error

    def say_taken(self, job: bytes, fields: Mapping[str, int], life_ms: int) -> None:
        """Set fields of `config.queues.taken_key`, and how long all of them stay.

        Raises:
            BrokerUnreachable: the broker does not take it.
        """
        name = queues.taken_key(job)
        try:
            self._wire.call("HSET", name, *(word for field in fields.items() for word in field))
            self._wire.call("PEXPIRE", name, life_ms)
        except (OSError, WireError) as error:
            raise _unreachable(error) from error

    def forget_taken(self, job: bytes, field: str) -> None:
        """Remove a field of it.

        Raises:
            BrokerUnreachable: as `say_taken`.
        """
        try:
            self._wire.call("HDEL", queues.taken_key(job), field)
        except (OSError, WireError) as error:
            raise _unreachable(error) from error

    def close(self) -> None:
        """Close the connection."""
        self._wire.close()


def task_message(task: str, arguments: list[str], queue: str) -> bytes:
    """A call of a Celery task, as kombu puts it into a list: Celery's message protocol 2, without Celery.

    The workers read it by `workers.messages`, and take no other kind.
    """
    task_id, tag = str(uuid4()), str(uuid4())
    embedded = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    body = base64.b64encode(json.dumps([arguments, {}, embedded]).encode()).decode()
    headers = {
        "lang": "py",
        "task": task,
        "id": task_id,
        "root_id": task_id,
        "parent_id": None,
        "group": None,
        "retries": 0,
        "eta": None,
        "expires": None,
        "timelimit": [None, None],
        "argsrepr": "sealed",
        "kwargsrepr": "{}",
        "ignore_result": True,
    }
    properties = {
        "correlation_id": task_id,
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": queue},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": tag,
    }
    frame = {
        "body": body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": properties,
    }
    return json.dumps(frame).encode()


def _wire(broker_url: str, settings: Settings) -> Wire:
    return Wire(broker_url, settings.broker, connect_timeout_s=CONNECT_TIMEOUT_S, timeout_s=SOCKET_TIMEOUT_S)


def _unreachable(error: Exception) -> BrokerUnreachable:
    trouble = tls_trouble(error)
    if isinstance(error, Refused):
        trouble = _trouble_of(str(error))
    if trouble is None:
        return BrokerUnreachable(
            f"the message broker does not answer ({type(error).__name__})", remedy=_REMEDY
        )
    return BrokerUnreachable(trouble.message, remedy=trouble.remedy)


def _trouble_of(refusal: str) -> Trouble | None:
    if refusal.startswith(_NO_LOGIN):
        return NO_LOGIN
    return NO_RIGHT if refusal.startswith("NOPERM") else None
