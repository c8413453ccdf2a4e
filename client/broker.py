"""The command's two ways to the broker: waking the scheduler, and waiting on a list of its own."""

import base64
import json
import uuid
from collections.abc import Iterable

from client.errors import BrokerUnreachable
from client.valkey import Refused, Reply, Valkey, Word
from config import queues
from config.broker import redis_arguments
from config.celery_settings import CONNECT_TIMEOUT_S, SOCKET_TIMEOUT_S
from config.settings import Settings
from crypto import canonical
from crypto.signing import Signed

MAX_STATUS_BYTES = 64 * 1024
_REFUSALS = ("NOPERM", "WRONGPASS")
_LEAST_WAIT_S = 0.001
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
        self._valkey = _connection(broker_url, settings)

    def wait(self, job: bytes, timeout_s: float) -> bytes | None:
        """The next letter of a job, or None when none came in time.

        Raises:
            BrokerUnreachable: the broker went away; the next call connects again.
        """
        # 0 would be for ever.
        found = _call(
            self._valkey, "BLPOP", queues.notes_list(job), max(timeout_s, _LEAST_WAIT_S), waits_s=timeout_s
        )
        letter = found[-1] if isinstance(found, list) and found else None
        return letter if isinstance(letter, bytes) else None

    def status(self, role: str) -> bytes:
        """What a role says about itself, JSON; empty when it has said nothing lately.

        Raises:
            BrokerUnreachable: the broker does not answer.
        """
        found = _call(self._valkey, "GET", queues.status_key(role))
        return found[:MAX_STATUS_BYTES] if isinstance(found, bytes) else b""

    def waiting(self, hosts: Iterable[str] = ()) -> dict[str, int]:
        """How many messages wait in each queue, also in those of `hosts`.

        Raises:
            BrokerUnreachable: the broker does not answer.
        """
        own = [
            queues.work_queue(role, host) for host in sorted(hosts) for role in sorted(queues.HOSTED_ROLES)
        ]
        lengths = {queue: _call(self._valkey, "LLEN", queue) for queue in (*queues.QUEUES, *own)}
        return {queue: length if isinstance(length, int) else 0 for queue, length in lengths.items()}

    def close(self) -> None:
        """Close the connection."""
        self._valkey.close()


class Publisher:
    """Sends signed requests to the scheduler's queue, as any Celery client may (docs/task-submission.md).

    The message is written here: importing Celery for it would take as long as a small restore.

    Args:
        broker_url: with the client's user and password.
        settings: say how TLS is done.

    Raises:
        ConfigError: the broker's TLS files cannot be read.
    """

    def __init__(self, broker_url: str, settings: Settings) -> None:
        self._valkey = _connection(broker_url, settings)

    def submit(self, request: Signed) -> None:
        """Wake the scheduler with a request.

        Raises:
            BrokerUnreachable: the broker does not take it.
        """
        text = canonical.to_text(canonical.encode(request))
        message = task_message(queues.SUBMIT, text, queues.SCHEDULER_QUEUE)
        _call(self._valkey, "LPUSH", queues.SCHEDULER_QUEUE, message)

    def close(self) -> None:
        """Close the connection."""
        self._valkey.close()


def task_message(task: str, argument: str, queue: str) -> bytes:
    """A call of `task` as Celery puts it on a list: version 2 of its protocol in kombu's frame for Redis."""
    identity = str(uuid.uuid4())
    body = json.dumps([[argument], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    headers = {
        "lang": "py",
        "task": task,
        "id": identity,
        "root_id": identity,
        "parent_id": None,
        "group": None,
        "eta": None,
        "expires": None,
        "shadow": None,
        "retries": 0,
        "timelimit": [None, None],
        "argsrepr": "sealed",
        "kwargsrepr": "{}",
        "origin": "sealed",
        "ignore_result": True,
    }
    properties = {
        "correlation_id": identity,
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": queue},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": str(uuid.uuid4()),
    }
    frame = {
        "body": base64.b64encode(body.encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": properties,
    }
    return json.dumps(frame).encode()


def _connection(broker_url: str, settings: Settings) -> Valkey:
    url, tls = redis_arguments(settings.broker, broker_url)
    return Valkey(url, tls, CONNECT_TIMEOUT_S, SOCKET_TIMEOUT_S)


def _call(valkey: Valkey, *words: Word, waits_s: float = 0.0) -> Reply:
    try:
        return valkey.call(*words, waits_s=waits_s)
    except (Refused, OSError) as error:
        raise _unreachable(error) from error


def _unreachable(error: Exception) -> BrokerUnreachable:
    # ssl.SSLCertVerificationError, which is not imported for those who need no TLS.
    if (why := getattr(error, "verify_message", None)) is not None:
        return BrokerUnreachable(
            f"no TLS with the message broker: certificate verify failed: {why}",
            remedy="check broker.ca_file, and that the broker's certificate names the host in broker.url",
        )
    refused = isinstance(error, Refused) and str(error).startswith(_REFUSALS)
    what = "refuses this client" if refused else "does not answer"
    return BrokerUnreachable(f"the message broker {what} ({type(error).__name__})", remedy=_REMEDY)
