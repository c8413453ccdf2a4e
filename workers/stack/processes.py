"""Forking: what every process of the stack does first, and how its end is told."""

import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from config.hardening import die_with_parent, harden_process
from config.home import OWNER_ONLY_FILE
from workers.redact import frames_only

logger = logging.getLogger(__name__)

MAX_LOG_BYTES = 16 << 20
EXIT_CRASHED = 70  # EX_SOFTWARE of sysexits.h


def fork(main: Callable[[], None], *, log: Path, keep: tuple[int, ...] = ()) -> int:
    """Fork a child that runs `main`, then ends; it dies with this process, however that dies.

    Args:
        main: what the child does; SystemExit is its exit code, another exception a crash.
        log: file for its standard output and error.
        keep: descriptors that the child inherits; all others are closed.

    Returns:
        The child's process id.
    """
    parent = os.getpid()
    child = os.fork()
    if not child:
        _become(main, parent, log, keep)
    return child


def _become(main: Callable[[], None], parent: int, log: Path, keep: tuple[int, ...]) -> NoReturn:
    code = EXIT_CRASHED
    try:
        die_with_parent(parent)
        harden_process()
        _reset_signals()
        _redirect(log)
        _close_others(keep)
        os.umask(0o077)
        main()
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException as error:  # noqa: BLE001 - nothing may escape into the supervisor's frames
        # The text of an error may name what nobody may read in a log (guarantee 1).
        logger.critical("crashed: %s", frames_only(error))
    finally:
        # Never back into the supervisor's own frames.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def open_log(log: Path) -> int:
    """Open a log to append to it, owner-only; one that has grown too large becomes `<name>.1`."""
    try:
        if log.stat().st_size > MAX_LOG_BYTES:
            log.replace(log.with_name(log.name + ".1"))
    except FileNotFoundError:
        pass  # the first run
    return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, OWNER_ONLY_FILE)


def _redirect(log: Path) -> None:
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    descriptor = open_log(log)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _close_others(keep: tuple[int, ...]) -> None:
    start = 3
    for descriptor in sorted(keep):
        os.closerange(start, descriptor)
        start = descriptor + 1
    os.closerange(start, os.sysconf("SC_OPEN_MAX"))


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
