"""What a role is given when it starts. No Celery here: the supervisor starts its server first."""

from collections.abc import Callable
from dataclasses import dataclass, field

from config.home import Home
from config.settings import Settings

LOG_FORMAT = "%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s"


def _unheard() -> None:
    """A supervisor that forked the role sees by itself whether it lives."""


@dataclass(frozen=True)
class RoleContext:
    """What the supervisor gives to the `run(context)` of a role's module, in the role's own process.

    Attributes:
        role: one of the roles in `config.queues`.
        home: of the installation.
        settings: of the installation.
        broker_url: with this role's user and password.
        ready: call it once, when the role serves; `serve` does.
        one_shot: whether the stack lives only as long as one command.
        host: of a worker that works for its own host only; empty for all others.
        pulse: call it every now and then while the role is connected to its broker; `serve` does.
    """

    role: str
    home: Home
    settings: Settings
    broker_url: str
    ready: Callable[[], None]
    one_shot: bool
    host: str = ""
    pulse: Callable[[], None] = field(default=_unheard)
