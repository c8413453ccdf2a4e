"""The role monitor: Flower on loopback or over TLS, behind a password, read-only."""

import logging
import ssl
import sys
from typing import Any

from flower.app import Flower
from flower.options import default_options
from flower.urls import settings as web_settings
from flower.utils.broker import RedisSsl
from flower.views.broker import BrokerView
from flower.views.monitor import Metrics
from tornado.ioloop import PeriodicCallback
from tornado.web import authenticated

from config.errors import ConfigError
from config.settings import MonitorSettings, flower_password
from workers.app import app_for
from workers.pulse import BEAT_S
from workers.serve import RoleContext, configure_logging
from workers.tls import VerifiedAsyncConnection

MAX_TASKS = 10_000


class QuietFlower(Flower):
    """Flower that only listens: workers take no remote control, so that asking them would be waiting."""

    def update_workers(self, workername: str | None = None) -> list[Any]:
        """Ask nobody."""
        return []


class LockedMetrics(Metrics):
    """The numbers for Prometheus, behind the same password as the rest; Flower's own are for everybody."""

    @authenticated
    async def get(self) -> None:
        """Answer with the numbers."""
        await super().get()


class VerifiedBrokerView(BrokerView):
    """The page of the queues, for which Flower has a connection of its own."""

    def get_broker(self) -> Any:
        """As Flower's."""
        broker = super().get_broker()
        if isinstance(broker, RedisSsl):
            broker.redis.connection_pool.connection_class = VerifiedAsyncConnection
        return broker


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
    flower.add_handlers(r".*", [(r"/metrics", LockedMetrics), (r"/broker", VerifiedBrokerView)])
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
