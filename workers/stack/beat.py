"""The role beat: a clock, and nothing besides."""

from workers.app import make_app
from workers.serve import RoleContext, serve_beat


def run(context: RoleContext) -> None:
    """Tick until SIGTERM."""
    serve_beat(make_app(context.role, context.settings, context.broker_url), context.ready)
