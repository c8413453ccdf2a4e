"""`python -m workers.run`: one role in the foreground, against the broker of the settings; `strongroom worker` runs it.

Nobody supervises it but who started it: systemd, a container, a terminal. It logs to standard error.
"""

import argparse
import logging
import os
import signal
import sys
from pathlib import Path
from types import FrameType

import msgspec

from config import queues
from config.broker import broker_url
from config.errors import ConfigError, StrongroomError
from config.hardening import harden_process
from config.home import Home
from config.settings import MAX_PROCESSES, Settings, load
from workers.pulse import Pulse
from workers.redact import frames_only
from workers.role import LOG_FORMAT, RoleContext
from workers.sign import Sign
from workers.stack.roles import MONITOR_MODULE, ROLE_MODULES, Role, become
from workers.startup import NotLetIn, require_start

logger = logging.getLogger("run")

MODULES = {**ROLE_MODULES, queues.MONITOR: MONITOR_MODULE}
EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h
EXIT_CRASHED = 70  # EX_SOFTWARE
EXIT_NOT_LET_IN = (
    77  # EX_NOPERM; systemd tries again, as the broker's users and certificates are renewed elsewhere
)
_CONCURRENCY = {
    queues.BACKUP: "backup",
    queues.RESTORE: "restore",
    queues.MAINTENANCE: "maintenance",
    queues.KEY_BROKER: "keys_threads",
}


def main(arguments: list[str] | None = None) -> int:
    """Be one role until SIGTERM.

    Returns:
        The exit code: 0 after an orderly end, 78 when the configuration does not allow a start, 77 when the broker
        does not let the role in.
    """
    options = _parse(arguments)
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, stream=sys.stderr, force=True)
    # billiard reads it when it is imported: SIGTERM then means "end within the soft shutdown time" (notes 1.1).
    os.environ["REMAP_SIGTERM"] = "SIGQUIT"
    os.umask(0o077)
    # Celery's workers have a better handler; beat and the monitor end by this one.
    signal.signal(signal.SIGTERM, _leave)
    try:
        harden_process()
        context = make_context(Home(options.home), options.role, options.queue, options.concurrency)
        require_start(context)
        become(Role(options.role, MODULES[options.role]), context)
    except StrongroomError as error:
        logger.critical("%s%s", error.message, f" -> {error.remedy}" if error.remedy else "")
        return EXIT_NOT_LET_IN if isinstance(error, NotLetIn) else EXIT_CONFIG
    except Exception as error:  # noqa: BLE001 - the text of an error may name what nobody may read in a log
        logger.critical("crashed: %s", frames_only(error))
        return EXIT_CRASHED
    return 0


def make_context(home: Home, role: str, queue: str = "", concurrency: int = 0) -> RoleContext:
    """What the role needs, from the settings of `home`.

    Args:
        home: with config.toml, the registry, and the identity of the role.
        role: one of `MODULES`.
        queue: the role's own, or that of one host; empty: the role's own.
        concurrency: processes or threads in place of what the settings say; 0: what they say.

    Raises:
        ConfigError: no broker is configured, its password cannot be read, or the queue is not the role's.
    """
    settings = load(home)
    if not settings.broker.url:
        raise ConfigError(
            "no broker is configured, and a single role has nobody to work for without one",
            remedy="set broker.url in config.toml; `strongroom up` runs all roles with a broker of its own",
        )
    host = _host_of(role, queue)
    station = queues.station(role, host)
    url = broker_url(settings.broker, station)
    home.run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    alive = home.run_dir / f"{station}.alive"
    # The monitor writes nothing on the broker.
    pulse = Pulse(alive) if role == queues.MONITOR else Pulse(alive, Sign(station, url, settings.broker).give)
    return RoleContext(
        role=role,
        home=home,
        settings=_with_concurrency(settings, role, concurrency),
        broker_url=url,
        ready=pulse.ready,
        one_shot=False,
        host=host,
        pulse=pulse.beat,
    )


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def _host_of(role: str, queue: str) -> str:
    own = queues.QUEUE_OF_ROLE.get(role, "")
    if queue in ("", own):
        return ""
    name, _, host = queue.partition(".")
    if role not in queues.HOSTED_ROLES or name != own or not queues.is_host(host):
        allowed = f"{own} or {own}.<host>" if role in queues.HOSTED_ROLES else own or "no queue"
        raise ConfigError(f"the role {role} does not serve the queue {queue!r}", remedy=f"use {allowed}")
    return host


def _with_concurrency(settings: Settings, role: str, concurrency: int) -> Settings:
    if not concurrency:
        return settings
    if role not in _CONCURRENCY or not 1 <= concurrency <= MAX_PROCESSES:
        raise ConfigError(
            f"the role {role} does not run {concurrency} at a time",
            remedy=f"give 1 to {MAX_PROCESSES} to {', '.join(_CONCURRENCY)}; no other role takes a number",
        )
    workers = msgspec.structs.replace(settings.workers, **{_CONCURRENCY[role]: concurrency})
    return msgspec.structs.replace(settings, workers=workers)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m workers.run", description="one role in the foreground")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--role", choices=sorted(MODULES), required=True)
    parser.add_argument("--queue", default="")
    parser.add_argument("--concurrency", type=int, default=0)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
