"""The Celery settings of each role, as plain values: nothing here imports Celery.

What each setting is for, and where it was measured: notes "celery-and-valkey", 1.2 and 2.3 to 2.5.
"""

from collections.abc import Mapping

from config import queues
from config.broker import BrokerSettings, tls_options
from config.settings import Settings

PREFORK_ROLES = frozenset({queues.BACKUP, queues.RESTORE, queues.MAINTENANCE})

# A publish on a dead socket must fail, not hang (kombu's default is to wait for ever).
SOCKET_TIMEOUT_S = 30
CONNECT_TIMEOUT_S = 5
POLL_S = 0.25
LOST_WAIT_S = 1.0
# How long running tasks may still finish after SIGTERM; the supervisor's patience is longer.
SOFT_SHUTDOWN_S = 1.0
# A pool process imports native libraries on one of few cores before it reports itself alive.
POOL_PROCESS_START_S = 30.0
TICK_S = 5.0
# A tick that waited this long is worth nothing: a newer one is there.
TICK_EXPIRES_S = 2 * TICK_S


def unacked_keys(station: str) -> dict[str, str]:
    """The two keys in which kombu keeps what a station received and has not acknowledged.

    By default all consumers of a database share them, so that each could read what the others received.
    """
    return {
        "unacked_key": f"unacked.{station}",
        "unacked_index_key": f"unacked_index.{station}",
    }


def celery_settings(role: str, settings: Settings, broker_url: str, host: str = "") -> dict[str, object]:
    """The settings of the Celery application of one role.

    Args:
        role: one of the roles in `config.queues`.
        settings: of the installation.
        broker_url: with the user and password of that role.
        host: of a worker that works for its own host only.

    Raises:
        ConfigError: the broker's TLS files cannot be read.
    """
    own_queue = queues.work_queue(role, host) if role in queues.QUEUE_OF_ROLE else queues.SCHEDULER_QUEUE
    values: dict[str, object] = {
        "broker_url": broker_url,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_connection_timeout": CONNECT_TIMEOUT_S,
        "broker_pool_acquire_timeout": SOCKET_TIMEOUT_S,
        "broker_transport_options": _transport_options(queues.station(role, host), settings.broker),
        # JSON and nothing else; no results: an answer goes to a list of its own.
        "accept_content": ["json"],
        "task_serializer": "json",
        "event_serializer": "json",
        "result_serializer": "json",
        "result_backend": "disabled://",
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        # Routes are the publisher's business: a queue that is not listed does not exist.
        "task_create_missing_queues": False,
        "task_default_queue": own_queue,
        "task_default_exchange": "",
        "task_default_exchange_type": "direct",
        "task_default_routing_key": own_queue,
        "task_protocol": 2,
        "task_publish_retry_policy": {
            "max_retries": 3,
            "interval_start": 0.1,
            "interval_step": 0.3,
            "interval_max": 1,
        },
        # A redelivered unwrap would be refused as a replay: the requester asks again with a new nonce.
        "task_acks_late": role != queues.KEY_BROKER,
        "task_reject_on_worker_lost": role != queues.KEY_BROKER,
        "worker_prefetch_multiplier": 1,
        "worker_cancel_long_running_tasks_on_connection_loss": role in PREFORK_ROLES,
        "worker_enable_remote_control": False,
        "worker_send_task_events": settings.monitor.events,
        "task_send_sent_event": False,
        "task_track_started": False,
        "worker_soft_shutdown_timeout": SOFT_SHUTDOWN_S,
        # How long to wait for the result of a pool process that died: it has sent it, or never will.
        "worker_lost_wait": LOST_WAIT_S,
        "worker_proc_alive_timeout": POOL_PROCESS_START_S,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "timezone": "UTC",
        "enable_utc": True,
    }
    if tls := tls_options(settings.broker, broker_url):
        values["broker_use_ssl"] = tls
    return values


def beat_schedule(options: Mapping[str, object]) -> dict[str, dict[str, object]]:
    """Beat's one entry: the metronome that makes the scheduler look at its ledger.

    Args:
        options: further options of the message.
    """
    return {
        "tick": {
            "task": queues.TICK,
            "schedule": TICK_S,
            "args": (),
            "options": {**options, "queue": queues.SCHEDULER_QUEUE, "expires": TICK_EXPIRES_S},
        }
    }


def _transport_options(station: str, broker: BrokerSettings) -> dict[str, object]:
    return {
        **unacked_keys(station),
        "visibility_timeout": broker.visibility_timeout_s,
        "socket_timeout": SOCKET_TIMEOUT_S,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_keepalive": True,
        "health_check_interval": SOCKET_TIMEOUT_S - 5,
        # No priorities: one list for each queue.
        "priority_steps": [0],
        # A worker that stops waits for its BRPOP to return: this long at most.
        "polling_interval": POLL_S,
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
        "client_name": f"strongroom-{station}",
    }
