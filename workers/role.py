"""What a role is given when it starts. No Celery here: the supervisor starts its server first."""

from collections.abc import Callable
from dataclasses import dataclass

from config.home import Home
from config.settings import Settings

LOG_FORMAT = "%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s"


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
    """

    role: str
    home: Home
    settings: Settings
    broker_url: str
    ready: Callable[[], None]
    one_shot: bool
