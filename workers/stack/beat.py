"""The role beat: a clock, and nothing besides."""

from workers.app import app_for
from workers.serve import RoleContext, serve_beat


def run(context: RoleContext) -> None:
    """Tick until SIGTERM."""
    serve_beat(app_for(context), context.ready)
