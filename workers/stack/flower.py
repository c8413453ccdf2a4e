"""The role monitor: Flower on loopback or over TLS, behind a password, read-only."""

import logging
import ssl
import sys
from typing import Any, Final

from flower.api.tasks import GetQueueLengths
from flower.app import Flower
from flower.options import default_options
from flower.urls import settings as web_settings
from flower.utils.broker import RedisSsl
from flower.views import BaseHandler
from flower.views.broker import BrokerView
from flower.views.monitor import Metrics
from tornado.ioloop import PeriodicCallback
from tornado.web import authenticated

from config.errors import ConfigError
from config.queues import QUEUES
from config.settings import MonitorSettings, flower_password
from workers.app import app_for
from workers.pulse import BEAT_S
from workers.serve import RoleContext, configure_logging
from workers.tls import VerifiedAsyncConnection

MAX_TASKS = 10_000


class QuietFlower(Flower):
    """Flower that only listens: workers take no remote control, so that asking them would be waiting."""

    async def update_workers(self, workername: str | None = None) -> list[Any]:
        """Ask nobody."""
        return []


class LockedMetrics(Metrics):
    """The numbers for Prometheus, behind the same password as the rest; Flower's own are for everybody."""

    @authenticated
    async def get(self) -> None:
        """Answer with the numbers."""
        await super().get()


class _Queues(BaseHandler):
    """Looks at the queues as the monitor may, which is to ask for their lengths; over a connection of Flower's own."""

    def get_broker(self) -> Any:
        """As Flower's, with the user's name, which Flower leaves out on a socket, and for queues without priorities."""
        broker = super().get_broker()
        pool = broker.redis.connection_pool
        pool.connection_kwargs["username"] = broker.username
        if isinstance(broker, RedisSsl):
            pool.connection_class = VerifiedAsyncConnection
        broker.priority_steps = [0]
        return broker

    def get_active_queue_names(self) -> list[str]:
        """Those of the roles; no worker is asked for its own."""
        return sorted(QUEUES)


class QueuesPage(_Queues, BrokerView):
    """The page of the queues."""


class QueueLengths(_Queues, GetQueueLengths):
    """The same as JSON."""


class WorkerList(BaseHandler):
    """The workers as JSON: what Flower would ask them for is not to be had, what they have told is."""

    @authenticated
    def get(self) -> None:
        """Answer with whether each is heard of, and how many events of each kind it has sent."""
        state = self.application.events.state
        self.write(
            {
                name: {"status": worker.alive, "events": dict(state.counter[name])}
                for name, worker in state.workers.items()
            }
        )


class WorkerPage(BaseHandler):
    """In place of the page of one worker, which would show what it answers: that of all, which shows what they tell."""

    @authenticated
    def get(self, _name: str) -> None:
        """Lead there."""
        self.redirect(self.reverse_url("workers"))


_PAGES: Final = [
    (r"/metrics", LockedMetrics),
    (r"/broker", QueuesPage),
    (r"/api/queues/length", QueueLengths),
    (r"/api/workers", WorkerList),
    (r"/worker/(.+)", WorkerPage),
]


def run(context: RoleContext) -> None:
    """Serve until SIGTERM.

    Raises:
        ConfigError: no password, or a file of the settings cannot be read.
    """
    monitor = context.settings.monitor
    password = flower_password(monitor)
    if not password:
        raise ConfigError(
            "Flower has no password", remedy="set monitor.flower_password_file, or monitor.flower_password"
        )
    app = app_for(context)
    configure_logging()
    logging.getLogger("tornado.access").setLevel(logging.ERROR)
    options = default_options
    options.address = monitor.flower_address
    options.port = monitor.flower_port
    options.basic_auth = [f"{monitor.flower_user}:{password}"]
    options.read_only = True
    options.enable_events = False
    options.persistent = False
    options.max_tasks = MAX_TASKS
    flower = QuietFlower(capp=app, options=options, ssl_options=tls_context(monitor), **web_settings)
    # Comes before Flower's own pages.
    flower.add_handlers(r".*", _PAGES)
    flower.start_http_server()
    flower.io_loop.add_callback(context.ready)
    PeriodicCallback(context.pulse, BEAT_S * 1000).start()
    flower.start()
    sys.stdout.flush()


def tls_context(monitor: MonitorSettings) -> ssl.SSLContext | None:
    """How Flower does TLS: nothing below 1.2; None without a certificate, which is for loopback only.

    Raises:
        ConfigError: a file cannot be read, or is none.
    """
    if not monitor.flower_cert_file:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(monitor.flower_cert_file, monitor.flower_key_file)
        if monitor.flower_client_ca_file:
            context.load_verify_locations(monitor.flower_client_ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:
        raise ConfigError(
            f"Flower's certificate cannot be used: {error.strerror or error}",
            remedy="correct the flower_*_file settings",
        ) from error
    return context
