"""The role monitor: Flower on loopback, behind a password, read-only."""

import logging
import sys
from typing import Any

from flower.app import Flower
from flower.options import default_options
from flower.urls import settings as web_settings
from flower.views.monitor import Metrics
from tornado.web import authenticated

from workers.app import make_app
from workers.serve import RoleContext, configure_logging

ADDRESS = "127.0.0.1"
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


def run(context: RoleContext) -> None:
    """Serve until SIGTERM."""
    monitor = context.settings.monitor
    app = make_app(context.role, context.settings, context.broker_url)
    configure_logging()
    logging.getLogger("tornado.access").setLevel(logging.ERROR)
    options = default_options
    options.address = ADDRESS
    options.port = monitor.flower_port
    options.basic_auth = [f"{monitor.flower_user}:{monitor.flower_password}"]
    options.read_only = True
    options.enable_events = False
    options.persistent = False
    options.max_tasks = MAX_TASKS
    flower = QuietFlower(capp=app, options=options, **web_settings)
    # Comes before Flower's own pages.
    flower.add_handlers(r".*", [(r"/metrics", LockedMetrics)])
    flower.start_http_server()
    flower.io_loop.add_callback(context.ready)
    flower.start()
    sys.stdout.flush()
