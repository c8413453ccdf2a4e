"""`python -m workers.stack`: the embedded stack, for one command or kept up; the client starts it."""

import argparse
import fcntl
import logging
import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from config import queues
from config.errors import StrongroomError
from config.home import OWNER_ONLY_FILE, Home
from config.settings import Settings, flower_password, load
from config.stack_file import StackFailure, StackInfo, encode_line, write_stack_file
from workers.role import LOG_FORMAT
from workers.stack.errors import AlreadyUp, StackError
from workers.stack.passwords import Passwords
from workers.stack.processes import open_log
from workers.stack.roles import MONITOR_MODULE, ROLE_MODULES, Role, preload
from workers.stack.supervisor import Supervisor

logger = logging.getLogger("stack")

FOLDER_PREFIX = "strongroom-"
# A reader of the lock holds it for an instant (config.stack_file.is_locked).
LOCK_ATTEMPTS = 20


def main(arguments: list[str] | None = None) -> int:
    """Run the stack until it is not needed any more.

    Whoever starts it passes one end of a socket or pipe; one line comes back through it, a
    `config.stack_file.StackInfo` or a `StackFailure`. With --one-shot-fd the stack ends when the other end is
    closed, or its parent dies; with --ready-fd it stays up until SIGTERM and leaves a stack file in the home.

    Returns:
        The exit code: 0 after an orderly end, 1 if the stack did not start.
    """
    options = _parse(arguments)
    home = Home(options.home)
    answer_fd: int = options.ready_fd if options.one_shot_fd is None else options.one_shot_fd
    roles = tuple(Role(name, module) for name, module in {**ROLE_MODULES, **dict(options.role)}.items())
    try:
        home.create()
        settings = load(home)
        _leave_terminal(home)
        if options.one_shot_fd is not None:
            _run_one_shot(home, settings, roles, answer_fd)
        else:
            _run_kept(home, settings, roles, answer_fd, flower=options.flower)
    except StrongroomError as error:
        logger.critical("%s", error.message)
        _answer(answer_fd, StackFailure(error.message, error.remedy))
        return error.exit_code
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m workers.stack", description="the embedded stack")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument(
        "--one-shot-fd", type=int, help="socket: answer here, end when the other side is closed"
    )
    parser.add_argument("--ready-fd", type=int, default=-1, help="pipe or socket: answer here, then stay up")
    parser.add_argument("--flower", action="store_true", help="serve Flower on loopback")
    parser.add_argument(
        "--role",
        action="append",
        default=[],
        type=lambda text: tuple(text.split("=", 1)),
        metavar="NAME=MODULE",
        help="another module for a role (development)",
    )
    return parser.parse_args(arguments)


def _run_one_shot(home: Home, settings: Settings, roles: tuple[Role, ...], channel: int) -> None:
    watch = [channel]
    try:
        # A process that the command forked may hold the other end open: watch the command itself, too.
        watch.append(os.pidfd_open(os.getppid()))
    except OSError:
        logger.warning("no pidfd here: only the closed channel ends the stack")
    with _private_folder() as folder:
        supervisor = Supervisor(
            home,
            settings,
            roles,
            folder,
            _passwords(roles),
            one_shot=True,
            watch=tuple(watch),
            log=logger.info,
        )
        try:
            _answer(channel, supervisor.start(preload))
            supervisor.run()
        finally:
            supervisor.stop()


def _run_kept(
    home: Home, settings: Settings, roles: tuple[Role, ...], ready_fd: int, *, flower: bool
) -> None:
    if flower:
        settings = _with_flower(settings)
        roles = (*roles, Role(queues.MONITOR, MONITOR_MODULE))
    with _only_one(home), _private_folder() as folder:
        supervisor = Supervisor(
            home, settings, roles, folder, _passwords(roles), one_shot=False, watch=(), log=logger.info
        )
        try:
            info = supervisor.start(preload)
            if flower:
                info = _add_flower(info, settings)
            write_stack_file(home, info)
            _answer(ready_fd, info)
            supervisor.run()
        finally:
            home.stack_file.unlink(missing_ok=True)
            supervisor.stop()


def _passwords(roles: tuple[Role, ...]) -> Passwords:
    return Passwords((*(role.name for role in roles), queues.CLIENT))


def _with_flower(settings: Settings) -> Settings:
    # Beside the embedded stack, Flower is for this machine.
    monitor = msgspec.structs.replace(
        settings.monitor,
        flower_address="127.0.0.1",
        flower_cert_file="",
        flower_key_file="",
        flower_client_ca_file="",
    )
    with socket.socket() as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", monitor.flower_port))
        except OSError as error:
            raise StackError(
                f"Flower cannot listen on port {monitor.flower_port}: {error.strerror}",
                remedy="set monitor.flower_port, 0 for any free port",
            ) from error
        port = probe.getsockname()[1]
    monitor = msgspec.structs.replace(
        monitor,
        events=True,
        flower_port=port,
        flower_password=flower_password(monitor) or secrets.token_urlsafe(24),
        flower_password_file="",
    )
    return msgspec.structs.replace(settings, monitor=monitor)


def _add_flower(info: StackInfo, settings: Settings) -> StackInfo:
    monitor = settings.monitor
    return msgspec.structs.replace(
        info,
        flower_url=f"http://127.0.0.1:{monitor.flower_port}/",
        flower_user=monitor.flower_user,
        flower_password=monitor.flower_password,
    )


def _leave_terminal(home: Home) -> None:
    """Get out of reach of the terminal's Ctrl-C, which is the command's to deal with, and log to a file."""
    if os.getpgrp() != os.getpid():
        os.setsid()
    log = open_log(home.logs / "stack.log")
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, stream=sys.stderr, force=True)


@contextmanager
def _only_one(home: Home) -> Iterator[None]:
    """Hold the lock of the home's kept stack.

    Raises:
        AlreadyUp: another one holds it.
    """
    descriptor = os.open(home.stack_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY_FILE)
    try:
        for attempt in range(LOCK_ATTEMPTS):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if attempt == LOCK_ATTEMPTS - 1:
                    raise AlreadyUp(
                        "a stack is up already",
                        remedy="use it; `strongroom down` stops it, which a changed config.toml needs",
                    ) from error
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _private_folder() -> Iterator[Path]:
    """A new folder with a short path for the socket; those that killed supervisors left behind go first."""
    parent = Path(tempfile.gettempdir())
    for old in parent.glob(f"{FOLDER_PREFIX}*"):
        _remove_if_dead(old)
    folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX))
    alive = os.open(folder / "alive", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY_FILE)
    try:
        fcntl.flock(alive, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(alive)


def _remove_if_dead(folder: Path) -> None:
    try:
        if folder.stat().st_uid != os.geteuid():
            return
        alive = os.open(folder / "alive", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return  # not one of ours, or just being made or removed
    try:
        fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        pass  # it lives
    finally:
        os.close(alive)


def _answer(descriptor: int, answer: StackInfo | StackFailure) -> None:
    if descriptor < 0:
        return
    try:
        os.write(descriptor, encode_line(answer))
    except (BrokenPipeError, ConnectionResetError):
        logger.warning("nobody waits for the answer")


if __name__ == "__main__":
    sys.exit(main())
